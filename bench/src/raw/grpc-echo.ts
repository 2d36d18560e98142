/** The raw figure of a look-up: a bare nice-grpc server that answers the same message and does nothing for it. */

import { LookupAgentResponse } from '@fleetwire/gen/registry';
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
server.add(ECHO, {
  lookupAgent: async (request: { name: string }) => ({ agent: { ...ANSWER.agent!, name: request.name } }),
});
serveTasks({ listen: async () => ({ port: await server.listen('127.0.0.1:0') }) });
