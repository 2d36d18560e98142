/** What the tests of this package share: a NodeService whose methods each test replaces, and things closed by `using`. */

import { type NodeServiceDefinition as Definition, NodeServiceDefinition } from '@fleetwire/gen/node';
import {
  type AuthMode,
  bindService,
  createRpcClient,
  type RpcClientOptions,
  type RpcHandlers,
  type RpcServer,
  type RpcServerOptions,
  startRpcServer,
} from '@fleetwire/rpc';

export type TestHandlers = RpcHandlers<Definition, string>;

const missing = async (): Promise<never> => {
  throw new Error('this test has no such handler');
};

const base: TestHandlers = {
  attach: () => ({ [Symbol.asyncIterator]: () => ({ next: missing }) }),
  send: missing,
  waitMessage: missing,
  readInbox: missing,
  runAgent: missing,
  stopAgent: missing,
  agentToken: missing,
  listLocalAgents: missing,
  nodeStatus: missing,
  directory: missing,
};

export interface TestServer extends AsyncDisposable {
  readonly server: RpcServer;
  readonly address: string;
  readonly logged: Record<string, unknown>[];
}

export async function serve(
  handlers: Partial<TestHandlers>,
  options: Partial<RpcServerOptions> & { auth?: AuthMode | Record<string, AuthMode> } = {},
): Promise<TestServer> {
  const logged: Record<string, unknown>[] = [];
  const { auth = 'none', ...rest } = options;
  const implementation = { ...base, ...handlers } as TestHandlers;
  const server = await startRpcServer({
    listen: '127.0.0.1:0',
    services: [bindService(NodeServiceDefinition, implementation, { auth })],
    log: { debug: () => undefined, error: (fields) => logged.push(fields as Record<string, unknown>) },
    ...rest,
  });
  return { server, address: server.address, logged, [Symbol.asyncDispose]: () => server.close() };
}

export function clientOf(address: string, options: Partial<RpcClientOptions> = {}) {
  const client = createRpcClient(NodeServiceDefinition, { address, ...options });
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}
