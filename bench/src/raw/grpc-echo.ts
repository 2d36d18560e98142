/** A server that answers the message of a look-up and does nothing for it: a bare one of nice-grpc, or one of libs/rpc. */

import { LookupAgentResponse } from '@fleetwire/gen/registry';
import { bindService, startRpcServer } from '@fleetwire/rpc';
import { createServer } from 'nice-grpc';
import { serveTasks } from '../workers/tasks.ts';
import { ECHO } from './echo-definition.ts';

const ANSWER = LookupAgentResponse.fromPartial({
  agent: {
    id: 'a_0123456789abcdef',
    node: 'n_0123456789abcdef',
    nodeName: 'bench-0-100',
    status: 'online',
    adapter: 'mailbox',
    registeredAtMs: 1_790_000_000_000,
    lastSeenAtMs: 1_790_000_000_000,
    epoch: 100_000,
    profile: { model: 'bench', capabilities: ['review', 'typescript'], repo: 'github.com/acme/app' },
  },
});

const handlers = {
  lookupAgent: async (request: { name: string }) => ({ agent: { ...ANSWER.agent!, name: request.name } }),
};
const silent = { debug() {}, info() {}, warn() {}, error() {} };

serveTasks({
  async bare() {
    const server = createServer();
    server.add(ECHO, handlers);
    return `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
  },
  async library() {
    const services = [bindService(ECHO, handlers, { auth: 'none' })];
    return (await startRpcServer({ listen: '127.0.0.1:0', services, log: silent })).address;
  },
});
