/** A typed gRPC client: deadlines, tokens, traces, and errors as the server threw them. */

import { HEADERS, LIMITS } from '@fleetwire/contract';
import { backoffMs, FleetwireError, pause } from '@fleetwire/kernel';
import { Channel, ChannelCredentials } from '@grpc/grpc-js';
import { createClientFactory, Metadata } from 'nice-grpc';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { cancellation, type Peer } from './cancellation.ts';
import { fromClientError } from './errors.ts';
import { BASE_CHANNEL_OPTIONS, RPC_DEFAULTS } from './limits.ts';
import { callScope } from './scope.ts';
import { untilAborted } from './stream.ts';
import type { RpcCallOptions, RpcClient, RpcDefinition } from './types.ts';
import { wireDefinition } from './wire.ts';

export interface RpcClientOptions {
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  /** Asked before every call. */
  readonly token?: (() => string | undefined | Promise<string | undefined>) | undefined;
  /** Of single calls; default 10,000. Streams have none unless the call sets it. */
  readonly deadlineMs?: number | undefined;
  /** How often a single call is tried again when the peer was unreachable, within its deadline; default 0. */
  readonly retries?: number | undefined;
  /** The trace of the moment, for calls made outside a handler. */
  readonly traceparent?: (() => string) | undefined;
  readonly maxMessageBytes?: number | undefined;
  /** TLS, by the given authorities (PEM) or the system's. */
  readonly tls?: { readonly ca?: Uint8Array | undefined } | undefined;
}

interface Port extends Peer {
  readonly options: RpcClientOptions;
}

interface NiceOptions {
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
}
type SingleCall = (request: unknown, options: NiceOptions) => Promise<unknown>;
type StreamCall = (request: unknown, options: NiceOptions) => AsyncIterable<unknown>;

/** Connects on the first call; after a loss at most 2 s pass between tries, so that a restarted server is found soon. */
export function createRpcClient<D extends RpcDefinition>(
  definition: D,
  options: RpcClientOptions,
): RpcClient<D> {
  const channel = openChannel(options);
  const port: Port = { name: definition.name, address: options.address, channel, options };
  const inner = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .create(wireDefinition(definition), channel) as Record<string, unknown>;
  const client: Record<string, unknown> = { close: () => channel.close() };
  for (const [key, method] of Object.entries(definition.methods)) {
    const call = inner[key];
    client[key] = method.responseStream
      ? streamingCall(port, call as StreamCall, method.requestStream)
      : singleCall(port, call as SingleCall, method.name, method.requestStream);
  }
  return client as RpcClient<D>;
}

function openChannel(options: RpcClientOptions): Channel {
  const bytes = options.maxMessageBytes ?? LIMITS.rpcMessageBytes;
  const credentials = options.tls
    ? ChannelCredentials.createSsl(options.tls.ca ? Buffer.from(options.tls.ca) : null)
    : ChannelCredentials.createInsecure();
  // Not nice-grpc's createChannel: it would add a port to the path of a unix socket.
  return new Channel(options.address, credentials, {
    ...BASE_CHANNEL_OPTIONS,
    'grpc.initial_reconnect_backoff_ms': RPC_DEFAULTS.reconnectInitialMs,
    // In spite of its name the time that one attempt may take.
    'grpc.min_reconnect_backoff_ms': RPC_DEFAULTS.connectMs,
    'grpc.max_reconnect_backoff_ms': RPC_DEFAULTS.reconnectMaxMs,
    'grpc.max_receive_message_length': bytes,
    'grpc.max_send_message_length': bytes,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    // Its counters cost each call, and nobody reads them. A server needs them: grpc-js 1.14 finds the connections that it
    // has to cut off by them.
    'grpc.enable_channelz': 0,
  });
}

function singleCall(port: Port, call: SingleCall, method: string, streaming: boolean) {
  return async (request: unknown, given: RpcCallOptions = {}): Promise<unknown> => {
    const budget = given.deadlineMs ?? port.options.deadlineMs ?? RPC_DEFAULTS.deadlineMs;
    const until = Math.min(Date.now() + budget, callScope.getStore()?.deadlineAt ?? Number.POSITIVE_INFINITY);
    const retries = streaming ? 0 : (port.options.retries ?? 0);
    for (let attempt = 0; ; attempt++) {
      try {
        return await tryOnce(port, call, method, request, streaming, given, until);
      } catch (error) {
        const wait = backoffMs(
          { initialMs: RPC_DEFAULTS.reconnectInitialMs, maxMs: RPC_DEFAULTS.reconnectMaxMs },
          attempt,
        );
        const unreachable = error instanceof FleetwireError && error.reason === 'PEER_UNREACHABLE';
        if (!unreachable || attempt >= retries || Date.now() + wait >= until) throw error;
        await pause(wait, given.signal);
      }
    }
  };
}

async function tryOnce(
  port: Port,
  call: SingleCall,
  method: string,
  request: unknown,
  streaming: boolean,
  given: RpcCallOptions,
  until: number,
): Promise<unknown> {
  const cancel = cancellation(port, `${port.name}/${method}`, given.signal, until);
  try {
    const metadata = await metadataOf(port, given, until);
    cancel.signal.throwIfAborted();
    const body = streaming ? untilAborted(request as AsyncIterable<unknown>, cancel.signal) : request;
    return await call(body, { metadata, signal: cancel.signal });
  } catch (error) {
    throw cancel.why() ?? fromClientError(error, port.name, port.address);
  } finally {
    cancel.stop();
  }
}

function streamingCall(port: Port, call: StreamCall, streamsRequests: boolean) {
  return async function* (request: unknown, given: RpcCallOptions = {}): AsyncGenerator<unknown, void> {
    const until = given.deadlineMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + given.deadlineMs;
    const cancel = cancellation(port, port.name, given.signal, until);
    try {
      const metadata = await metadataOf(port, given, until);
      cancel.signal.throwIfAborted();
      const body = streamsRequests ? untilAborted(request as AsyncIterable<unknown>, cancel.signal) : request;
      yield* call(body, { metadata, signal: cancel.signal });
    } catch (error) {
      throw cancel.why() ?? fromClientError(error, port.name, port.address);
    } finally {
      cancel.finish();
    }
  };
}

async function metadataOf(port: Port, given: RpcCallOptions, until: number): Promise<Metadata> {
  const metadata = Metadata(given.metadata);
  const token = given.token ?? (await port.options.token?.());
  if (token) metadata.set('authorization', `Bearer ${token}`);
  const traceparent =
    given.traceparent ?? (callScope.getStore()?.traceparent || port.options.traceparent?.());
  if (traceparent) metadata.set(HEADERS.traceparent, traceparent);
  if (Number.isFinite(until)) metadata.set('grpc-timeout', grpcTimeout(until - Date.now()));
  return metadata;
}

/** At most eight digits and a unit, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. */
function grpcTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.ceil(whole / 1000)}S`;
}
