/** Send, WaitMessage and ReadInbox: one call each. */

import { STAGE_RULES, WAY } from '@fleetwire/contract';
import { Stage } from '@fleetwire/gen/message';
import type {
  ReadInboxRequest,
  ReadInboxResponse,
  SendRequest,
  SendResponse,
  WaitMessageRequest,
  WaitMessageResponse,
} from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { callerOf } from '@fleetwire/rpc';
import { checkPriority } from '../domain/checks.ts';
import type { Engine } from '../engine.ts';
import { sendOnce } from '../mail/send-once.ts';
import type { Callers, NodeContext } from './callers.ts';

const WAIT_MAX_MS = 3_600_000;

const notOnTheWay = () =>
  new FleetwireError('invalid_argument', 'INVALID_STAGE', 'this stage cannot be waited for', {
    help: `Wait for ${WAY.map((stage) => STAGE_RULES[stage].name).join(', ')}, or for the end.`,
  });

export class MessageHandlers {
  readonly #engine: Engine;
  readonly #callers: Callers;

  constructor(engine: Engine, callers: Callers) {
    this.#engine = engine;
    this.#callers = callers;
  }

  async send(request: SendRequest, context: NodeContext): Promise<SendResponse> {
    const agent = this.#callers.actsAs(context, request.from);
    const { message } = request;
    if (message === undefined) throw new FleetwireError('invalid_argument', 'INVALID_MESSAGE', 'no message');
    checkPriority(message, callerOf(context).kind === 'admin');
    const outgoing = message.traceparent === '' ? { ...message, traceparent: context.traceparent } : message;
    const { id, correlationId, traceparent } = await sendOnce(this.#engine, agent, outgoing);
    return { id, correlationId, traceparent };
  }

  async waitMessage(request: WaitMessageRequest, context: NodeContext): Promise<WaitMessageResponse> {
    const caller = this.#callers.allowed(context, 'send');
    const sent = this.#engine.tables.outbox.findSent(request.id);
    const own = caller.kind !== 'agent' || sent?.agent === this.#callers.self(caller).num;
    if (sent === undefined || !own) {
      throw new FleetwireError('not_found', 'MESSAGE_UNKNOWN', 'this node knows no such message of yours', {
        help: 'Ask on the node that sent it, or use `fleetwire trace`.',
      });
    }
    const { until } = request;
    if (until !== Stage.UNSPECIFIED && !WAY.some((stage) => stage === until)) throw notOnTheWay();
    const waiting = this.#engine.progress.wait(
      request.id,
      until,
      Math.min(request.timeoutMs, WAIT_MAX_MS, context.deadlineMs ?? WAIT_MAX_MS),
      AbortSignal.any([context.signal, context.draining]),
    );
    if (waiting === undefined) {
      throw new FleetwireError('resource_exhausted', 'TOO_MANY_WAITS', 'too many calls wait already', {
        retryAfterMs: 1000,
      });
    }
    await waiting;
    const { progress, outbox } = this.#engine;
    const done = progress.isDone(request.id, until);
    const heldBackFor = done ? '' : (outbox.held.recipientOf(request.id) ?? '');
    return { ...progress.of(request.id), done, heldBackFor };
  }

  readInbox(request: ReadInboxRequest, context: NodeContext): Promise<ReadInboxResponse> {
    const agent = this.#callers.actsAs(context, request.agent);
    const { limit, peek, replyTo, confirm, hold, holdMs, renewMs } = request;
    const waitMs = Math.min(request.waitMs, context.deadlineMs ?? request.waitMs);
    const signal = AbortSignal.any([context.signal, context.draining]);
    const options = { limit, waitMs, peek, replyTo, confirm, hold, holdMs, renewMs };
    return this.#engine.mailbox.read(agent, options, signal);
  }
}
