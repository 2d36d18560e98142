/** A gRPC server: bound services, health, reflection, deadlines, and an end that lets calls finish. */

import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { LIMITS } from '@fleetwire/contract';
import { FleetwireError, invariant } from '@fleetwire/kernel';
import { ServerCredentials, type ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { createServer, type Server } from 'nice-grpc';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';
import { CALL_KEY, noteCall } from './answer-flow.ts';
import type { BoundService } from './bind.ts';
import { DEADLINE_KEY } from './deadline-clock.ts';
import { type RpcLog, type ServerPolicy, singleHandler, streamHandler } from './enter.ts';
import { createHealth } from './health.ts';
import { BASE_CHANNEL_OPTIONS, RPC_DEFAULTS } from './limits.ts';
import { addReflection } from './reflection.ts';
import { wireDefinition } from './wire.ts';

export interface RpcServerOptions {
  /** `host:port` (port 0: a free one) or `unix:/path`. */
  readonly listen: string;
  readonly services: readonly BoundService[];
  /** Gives the caller of a bearer token, or rejects with `unauthenticated`. */
  readonly authenticate?: ((bearer: string) => Promise<unknown>) | undefined;
  readonly log: RpcLog;
  /** Begins a span for each single call. */
  readonly hop?: ServerPolicy['hop'];
  readonly runWithTrace?: ServerPolicy['runWithTrace'];
  readonly maxMessageBytes?: number | undefined;
  /** PEM; without it the server speaks plain text. */
  readonly tls?: { readonly cert: Uint8Array; readonly key: Uint8Array } | undefined;
}

export interface RpcServer {
  /** What clients connect to: the real port, or `unix:/path`. */
  readonly address: string;
  /** Health by name; the empty name stands for the whole process. Everything begins as not serving. */
  setServing(service: string, serving: boolean): void;
  /** Tells the handlers of long streams that the end is near; calls are still taken. */
  drain(): void;
  /** Takes no new calls, lets those under way finish, and cuts them off after `graceMs`. */
  stopAccepting(graceMs: number): Promise<void>;
  /** Ends everything at once. */
  close(): Promise<void>;
}

/** Throws `failed_precondition` LISTEN_FAILED when the address cannot be had. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const health = createHealth();
  const draining = new AbortController();
  const policy: ServerPolicy = {
    authenticate: options.authenticate,
    log: options.log,
    hop: options.hop,
    runWithTrace: options.runWithTrace,
    draining: draining.signal,
  };
  const server = createServer(serverOptions(options)).use(errorDetailsServerMiddleware);
  for (const service of [...options.services, health.service]) addService(server, policy, service);
  addReflection(
    server,
    options.services.map((service) => service.definition.fullName),
  );
  health.set('', false);
  for (const { definition } of options.services) health.set(definition.fullName, false);
  const address = await listen(server, options);
  let closed: Promise<void> | undefined;
  return {
    address,
    setServing: (service, serving) => health.set(service, serving),
    drain: () => draining.abort(),
    stopAccepting(graceMs) {
      closed ??= shutDown(server, draining, graceMs).then(() => removeSocket(address));
      return closed;
    },
    async close() {
      draining.abort();
      server.forceShutdown();
      await removeSocket(address);
    },
  };
}

function addService(server: Server, policy: ServerPolicy, service: BoundService): void {
  const implementation: Record<string, unknown> = {};
  for (const [method, { responseStream }] of Object.entries(service.definition.methods)) {
    const wrap = responseStream ? streamHandler : singleHandler;
    implementation[method] = wrap(policy, service, method);
  }
  server.add(wireDefinition(service.definition), implementation as never);
}

function serverOptions(options: RpcServerOptions): object {
  const bytes = options.maxMessageBytes ?? LIMITS.rpcMessageBytes;
  return {
    ...BASE_CHANNEL_OPTIONS,
    'grpc.max_receive_message_length': bytes,
    'grpc.max_send_message_length': bytes,
    'grpc.max_concurrent_streams': RPC_DEFAULTS.concurrentStreams,
    interceptors: [tellDeadline],
  };
}

/**
 * grpc-js keeps the deadline and the stream to itself: this puts them where the handler's wrapper finds them. The call is not
 * wrapped in a ServerInterceptingCall, which would pass on each event of each call by several closures.
 */
const tellDeadline: ServerInterceptor = (method, call) => {
  const start = call.start.bind(call);
  call.start = (listener) => {
    const forward = listener.onReceiveMetadata;
    listener.onReceiveMetadata = (metadata) => {
      const deadline = call.getDeadline();
      const at = deadline instanceof Date ? deadline.getTime() : deadline;
      metadata.remove(DEADLINE_KEY);
      if (Number.isFinite(at)) metadata.set(DEADLINE_KEY, String(at));
      if (method.responseStream) metadata.set(CALL_KEY, noteCall(call));
      forward.call(listener, metadata);
    };
    start(listener);
  };
  return call as ServerInterceptingCall;
};

async function listen(server: Server, options: RpcServerOptions): Promise<string> {
  const unixPath = socketPath(options.listen);
  if (unixPath !== undefined) await removeStaleSocket(unixPath);
  const credentials = options.tls
    ? ServerCredentials.createSsl(null, [
        { cert_chain: Buffer.from(options.tls.cert), private_key: Buffer.from(options.tls.key) },
      ])
    : ServerCredentials.createInsecure();
  try {
    const port = await server.listen(options.listen, credentials);
    if (unixPath !== undefined) {
      await chmod(unixPath, 0o600);
      return options.listen;
    }
    return `${options.listen.slice(0, options.listen.lastIndexOf(':'))}:${port}`;
  } catch (cause) {
    server.forceShutdown();
    throw listenFailed(options.listen, cause);
  }
}

function listenFailed(address: string, cause: unknown): FleetwireError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new FleetwireError('failed_precondition', 'LISTEN_FAILED', `cannot listen on ${address}: ${why}`, {
    help: 'Free the address, or choose another by FLEETWIRE_RPC_LISTEN.',
    details: { address },
    cause,
  });
}

function socketPath(address: string): string | undefined {
  return address.startsWith('unix:') ? address.slice(5).replace(/^\/\/(?=\/)/, '') : undefined;
}

/** A socket that nobody answers on was left by a process that was killed; anything else belongs to somebody. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw listenFailed(`unix:${path}`, new Error('there is a file that is no socket'));
  if (await answers(path)) throw listenFailed(`unix:${path}`, new Error('another process listens there'));
  await unlink(path).catch(() => undefined);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

async function removeSocket(address: string): Promise<void> {
  const path = socketPath(address);
  if (path !== undefined) await unlink(path).catch(() => undefined);
}

async function shutDown(server: Server, draining: AbortController, graceMs: number): Promise<void> {
  invariant(graceMs >= 0, 'a grace time is not negative');
  draining.abort();
  const timer = setTimeout(() => server.forceShutdown(), graceMs);
  try {
    await server.shutdown();
  } finally {
    clearTimeout(timer);
  }
}
