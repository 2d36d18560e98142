/** What a handler and a client look like for a service definition that ts-proto generated. */

import type { AnswerFlow } from './answer-flow.ts';

/** A message type as ts-proto writes it. */
export interface Codec {
  // biome-ignore lint/suspicious/noExplicitAny: the shape of generated code, whatever the message
  encode(message: any, ...rest: any[]): { finish(): Uint8Array };
  // biome-ignore lint/suspicious/noExplicitAny: as above
  decode(input: any, length?: number): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  fromPartial?(object: any): any;
}

export interface RpcMethod {
  readonly name: string;
  readonly requestType: Codec;
  readonly requestStream: boolean;
  readonly responseType: Codec;
  readonly responseStream: boolean;
  readonly options: object;
}

export interface RpcDefinition {
  readonly name: string;
  readonly fullName: string;
  readonly methods: Readonly<Record<string, RpcMethod>>;
}

/** A received message: every field is there. */
type Received<T> = T extends { decode(...args: never[]): infer M } ? M : never;
/** A message to be sent: what is left out has its default. */
type Sent<T> = T extends { fromPartial(object: infer P): unknown } ? P : Received<T>;

/** What a handler knows of its call. */
export interface RpcContext<C = unknown> {
  /** Who calls; undefined where the method does not ask for a token. */
  readonly caller: C | undefined;
  /** W3C trace context of this hop; empty when there is none. */
  readonly traceparent: string;
  /** Milliseconds left when the call arrived, 20 less than the caller gave, so that the inner time-out is what surfaces. */
  readonly deadlineMs: number | undefined;
  /**
   * Aborts when the caller has gone or the deadline is over: a handler that waits must stop then. A caller that
   * goes also ends its stream of requests, as one that has said all.
   */
  readonly signal: AbortSignal;
  /** Aborts when this server begins to close: a handler of a long stream should end it. */
  readonly draining: AbortSignal;
  /**
   * Of a stream: what its client leaves unread, which stays in memory, and how to end it then at once. The client then sees
   * RESOURCE_EXHAUSTED without details.
   */
  readonly answers: AnswerFlow;
  readonly peer: string;
  /** A text of the request's metadata; empty when it is not there. */
  metadata(name: string): string;
}

type Handler<M extends RpcMethod, C> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? (
        requests: AsyncIterable<Received<M['requestType']>>,
        context: RpcContext<C>,
      ) => AsyncIterable<Sent<M['responseType']>>
    : (
        requests: AsyncIterable<Received<M['requestType']>>,
        context: RpcContext<C>,
      ) => Promise<Sent<M['responseType']>>
  : M['responseStream'] extends true
    ? (request: Received<M['requestType']>, context: RpcContext<C>) => AsyncIterable<Sent<M['responseType']>>
    : (request: Received<M['requestType']>, context: RpcContext<C>) => Promise<Sent<M['responseType']>>;

export type RpcHandlers<D extends RpcDefinition, C = unknown> = {
  readonly [M in keyof D['methods']]: Handler<D['methods'][M], C>;
};

export interface RpcCallOptions {
  /** Milliseconds from now; default: that of the client for single calls, none for streams. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Instead of the client's token. */
  readonly token?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

type Call<M extends RpcMethod> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? (
        requests: AsyncIterable<Sent<M['requestType']>>,
        options?: RpcCallOptions,
      ) => AsyncIterable<Received<M['responseType']>>
    : (
        requests: AsyncIterable<Sent<M['requestType']>>,
        options?: RpcCallOptions,
      ) => Promise<Received<M['responseType']>>
  : M['responseStream'] extends true
    ? (
        request: Sent<M['requestType']>,
        options?: RpcCallOptions,
      ) => AsyncIterable<Received<M['responseType']>>
    : (request: Sent<M['requestType']>, options?: RpcCallOptions) => Promise<Received<M['responseType']>>;

/** All calls reject with FleetwireError. A stream's call begins when its answers are first asked for. */
export type RpcClient<D extends RpcDefinition> = {
  readonly [M in keyof D['methods']]: Call<D['methods'][M]>;
} & {
  /** Ends the connection; calls under way are cancelled. */
  close(): void;
};
