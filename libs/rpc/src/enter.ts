/** What happens around every handler: deadline, caller, trace, and errors made fit for the wire. */

import { HEADERS } from '@fleetwire/contract';
import { asFleetwireError, causeChain, FleetwireError, TRACEPARENT } from '@fleetwire/kernel';
import type { CallContext } from 'nice-grpc-common';
import { answerFlowOf, CALL_KEY } from './answer-flow.ts';
import { type BoundService, tokenMissing } from './bind.ts';
import { deadlineClock } from './deadline-clock.ts';
import { toServerError } from './errors.ts';
import { type CallScope, callScope } from './scope.ts';
import type { RpcContext } from './types.ts';
import { Unreadable } from './wire.ts';

/** The part of a pino logger that is used here. */
export interface RpcLog {
  debug(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What the server does the same for all of its services. */
export interface ServerPolicy {
  readonly authenticate: ((bearer: string) => Promise<unknown>) | undefined;
  readonly log: RpcLog;
  readonly hop:
    | ((name: string, parent: string) => { readonly traceparent: string; end(error?: unknown): void })
    | undefined;
  readonly runWithTrace: (<T>(traceparent: string, fn: () => T) => T) | undefined;
  readonly draining: AbortSignal;
}

/** The caller is put in; a copy would ask for the signal. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Entered {
  readonly context: Writable<RpcContext>;
  run<T>(fn: () => T): T;
  /** Rejects shortly after the shaved deadline; undefined when there is none. */
  readonly late: Promise<never> | undefined;
  /** Ends timers and the span; gives the error to throw, if any. */
  leave(): void;
  fail(thrown: unknown): unknown;
}

/** One answer: unary and client-streaming methods. */
export function singleHandler(policy: ServerPolicy, service: BoundService, method: string) {
  const { requestStream } = service.definition.methods[method]!;
  return async (request: unknown, call: CallContext): Promise<unknown> => {
    const entered = begin(policy, service, method, call, true);
    try {
      const context = await authenticated(policy, service, method, call, entered.context);
      const asked = requestStream ? readableOnes(request as AsyncIterable<unknown>) : readable(request);
      const work = entered.run(() => service.handlers[method]!(asked, context)) as Promise<unknown>;
      const answer = await (entered.late ? Promise.race([work, entered.late]) : work);
      entered.leave();
      return answer;
    } catch (thrown) {
      throw entered.fail(thrown);
    }
  };
}

/** Many answers: the handler is asked for the next one only when the last one is on its way. */
export function streamHandler(policy: ServerPolicy, service: BoundService, method: string) {
  const { requestStream } = service.definition.methods[method]!;
  return async function* (request: unknown, call: CallContext): AsyncGenerator<unknown, void> {
    const entered = begin(policy, service, method, call, false);
    let answers: AsyncIterator<unknown> | undefined;
    let ended = false;
    try {
      const context = await authenticated(policy, service, method, call, entered.context);
      const asked = requestStream ? readableOnes(request as AsyncIterable<unknown>) : readable(request);
      answers = entered.run(() =>
        (service.handlers[method]!(asked, context) as AsyncIterable<unknown>)[Symbol.asyncIterator](),
      );
      while (true) {
        const next: IteratorResult<unknown> = await entered.run(() => answers!.next());
        if (next.done) break;
        yield next.value;
      }
      ended = true;
      entered.leave();
    } catch (thrown) {
      ended = true;
      throw entered.fail(thrown);
    } finally {
      if (!ended) {
        await answers?.return?.(undefined);
        entered.leave();
      }
    }
  };
}

/** Throws invalid_argument MESSAGE_UNREADABLE. */
function readable(request: unknown): unknown {
  if (!(request instanceof Unreadable)) return request;
  throw new FleetwireError(
    'invalid_argument',
    'MESSAGE_UNREADABLE',
    `the request cannot be read: ${request.why}`,
    {
      help: 'Send what the service’s proto file says; whole numbers are at most 2^53 - 1.',
    },
  );
}

function readableOnes(requests: AsyncIterable<unknown>): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const items = requests[Symbol.asyncIterator]();
      return {
        next: async () => {
          const next = await items.next();
          readable(next.value);
          return next;
        },
        return: async () => (await items.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

async function authenticated(
  policy: ServerPolicy,
  service: BoundService,
  method: string,
  call: CallContext,
  context: Writable<RpcContext>,
): Promise<RpcContext> {
  const mode = service.auth(method);
  if (mode === 'none') return context;
  const header = call.metadata.get('authorization') ?? '';
  const bearer = /^bearer /i.test(header) ? header.slice(7).trim() : '';
  if (bearer === '') {
    if (mode === 'optional') return context;
    throw tokenMissing();
  }
  if (!policy.authenticate)
    throw new FleetwireError('unauthenticated', 'TOKEN_INVALID', 'no tokens are known here');
  context.caller = await policy.authenticate(bearer);
  return context;
}

function begin(
  policy: ServerPolicy,
  service: BoundService,
  method: string,
  call: CallContext,
  single: boolean,
): Entered {
  const name = `${service.definition.fullName}/${service.definition.methods[method]!.name}`;
  const parent = call.metadata.get(HEADERS.traceparent) ?? '';
  const valid = TRACEPARENT.test(parent) ? parent : '';
  // A session may last for days: a span for it would never be seen.
  const span = single ? policy.hop?.(name, valid) : undefined;
  const traceparent = span?.traceparent ?? valid;
  const clock = deadlineClock(name, call, single);
  const scope: CallScope = { deadlineAt: clock.deadlineAt, traceparent };
  const { runWithTrace } = policy;
  return {
    context: {
      caller: undefined,
      traceparent,
      deadlineMs: clock.leftMs,
      get signal() {
        return clock.signal;
      },
      draining: policy.draining,
      answers: answerFlowOf(single ? undefined : call.metadata.get(CALL_KEY)?.toString()),
      peer: call.peer,
      metadata: (key) => call.metadata.get(key)?.toString() ?? '',
    },
    late: clock.late,
    run: (fn) => callScope.run(scope, () => (runWithTrace ? runWithTrace(traceparent, fn) : fn())),
    leave() {
      clock.stop();
      span?.end();
    },
    fail(thrown) {
      clock.stop();
      span?.end(thrown);
      return errorToThrow(policy, name, traceparent, call, thrown);
    },
  };
}

/** The outermost layer of a call: unexpected errors are logged here, once, with their causes. */
function errorToThrow(
  policy: ServerPolicy,
  name: string,
  traceparent: string,
  call: CallContext,
  thrown: unknown,
): unknown {
  // The caller has gone: nobody reads the answer, and nothing went wrong here.
  if (call.signal.aborted) return Object.assign(new Error('the caller has gone'), { name: 'AbortError' });
  const error = asFleetwireError(thrown);
  const fields = { method: name, reason: error.reason, traceparent, cause: causeChain(thrown) };
  if (error.kind === 'internal' || error.kind === 'data_loss')
    policy.log.error({ ...fields, stack: (thrown as Error)?.stack }, 'a call failed unexpectedly');
  else policy.log.debug(fields, 'a call was refused');
  return toServerError(thrown);
}
