/** Servers that answer the message of a look-up and do nothing for it: a bare one of nice-grpc, and one of libs/rpc. */

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

const server = createServer();
const handlers = {
  lookupAgent: async (request: { name: string }) => ({ agent: { ...ANSWER.agent!, name: request.name } }),
};
server.add(ECHO, handlers);
const silent = { debug() {}, info() {}, warn() {}, error() {} };

serveTasks({
  async listen() {
    const services = [bindService(ECHO, handlers, { auth: 'none' })];
    const own = await startRpcServer({ listen: '127.0.0.1:0', services, log: silent });
    return { bare: `127.0.0.1:${await server.listen('127.0.0.1:0')}`, own: own.address };
  },
});
