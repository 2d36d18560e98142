/** The door to gRPC: typed servers and clients that speak FleetwireError. */

export { type AuthMode, type BoundService, bindService, callerOf } from './bind.ts';
export { createRpcClient, type RpcClientOptions } from './client.ts';
export type { RpcLog } from './enter.ts';
export { checkHealth } from './health-client.ts';
export { RPC_DEFAULTS } from './limits.ts';
export { cutPage, PAGE_SIZES, type Page, readPage } from './pages.ts';
export { type RpcServer, type RpcServerOptions, startRpcServer } from './server.ts';
export type { RpcCallOptions, RpcClient, RpcContext, RpcDefinition, RpcHandlers } from './types.ts';
