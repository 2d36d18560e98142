/** ask: a question and its answer in one call. Other mail stays in the inbox meanwhile. */

import { z } from '@fleetwire/config';
import { kindOfReason } from '@fleetwire/contract';
import { type Receipt, Stage } from '@fleetwire/gen/message';
import type { Delivery } from '@fleetwire/gen/node';
import { type Address, FleetwireError, isToMany, newMessageId, parseAddress } from '@fleetwire/kernel';
import { newTraceparent } from '@fleetwire/telemetry';
import { visible } from '../../output.ts';
import { stageName } from '../../trace-document.ts';
import type { AgentDoor } from '../agent-door.ts';
import { MCP_LIMITS } from '../limits.ts';
import { bodyFor, lineOf, messageDocument } from '../messages.ts';
import { showing } from '../showing.ts';
import { type Call, tool } from '../tool.ts';
import { address, text } from './send.ts';

const input = z.object({
  to: address,
  text: text.describe('the question, at most 1 MiB'),
  timeout_s: z
    .int()
    .min(1)
    .max(MCP_LIMITS.askMaxS)
    .optional()
    .describe(
      'how many seconds to wait for the answer; 45 when left out. Many clients give up a call after 60',
    ),
});

export const ask = tool({
  name: 'ask',
  title: 'Ask another agent',
  description:
    'Sends a question to another agent and waits for its answer: the first message that replies to it. Without one in time ' +
    'it ends with ASK_TIMEOUT, and an answer that comes later is in your inbox. Use send when you can go on without the answer.',
  input,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  run: async ({ door }, { to, text: given, timeout_s = MCP_LIMITS.askDefaultS }, call) => {
    const id = newMessageId();
    const address = parseAddress(to);
    const answerWithinMs = timeout_s * 1000;
    const message = { id, to, body: bodyFor(given), answerWithinMs, traceparent: newTraceparent() };
    // Before it is sent: so that the answer is awaited from its first moment, and who gets mail elsewhere does not ask.
    await door.look({ limit: 1, replyTo: id, holdMs: MCP_LIMITS.holdMs }, 0, call.signal);
    await door.call((node) => node.send({ message }));
    const answer = await new Asking({ door, id, to, address, seconds: timeout_s, call }).answer();
    showing(door, call, [answer.id]);
    const document = messageDocument(answer);
    return { document: { question: id, answer: document }, text: lineOf(document), taken: 1 };
  },
});

interface AskingParts {
  readonly door: AgentDoor;
  /** Of the question. */
  readonly id: string;
  readonly to: string;
  readonly address: Address;
  readonly seconds: number;
  readonly call: Call;
}

/** One question until its answer, its failure or the end of its time. */
class Asking {
  readonly #parts: AskingParts;
  readonly #since = performance.now();
  /** Aborts when this is over, however. */
  readonly #over = new AbortController();

  constructor(parts: AskingParts) {
    this.#parts = parts;
  }

  async answer(): Promise<Delivery> {
    const telling = setInterval(() => this.#tell(), MCP_LIMITS.progressMs);
    try {
      return await Promise.race([this.#listen(), this.#failure()]);
    } catch (error) {
      if (this.#parts.call.signal.aborted || this.#leftMs === 0) void this.#takeBack().catch(() => undefined);
      throw error;
    } finally {
      clearInterval(telling);
      this.#over.abort();
    }
  }

  get #leftMs(): number {
    return Math.max(0, Math.ceil(this.#parts.seconds * 1000 - (performance.now() - this.#since)));
  }

  get #signal(): AbortSignal {
    return AbortSignal.any([this.#parts.call.signal, this.#over.signal]);
  }

  #tell(): void {
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    void this.#parts.call.progress(
      seconds,
      this.#parts.seconds,
      `${visible(this.#parts.to)} has not answered yet`,
    );
  }

  async #listen(): Promise<Delivery> {
    const request = { limit: 1, replyTo: this.#parts.id, holdMs: MCP_LIMITS.holdMs };
    for (;;) {
      const leftMs = Math.min(this.#leftMs, MCP_LIMITS.pollMs);
      const { deliveries } = await this.#parts.door.look(request, leftMs, this.#signal);
      if (deliveries[0] !== undefined) return deliveries[0];
      if (this.#leftMs === 0) throw this.#timedOut();
    }
  }

  /** Rejects when the question did not get there; else never settles: then the answer or the time decides. */
  async #failure(): Promise<never> {
    const timeoutMs = Math.max(1, this.#leftMs);
    const options = { deadlineMs: timeoutMs + MCP_LIMITS.callMs, signal: this.#signal };
    const waited = await this.#parts.door
      .call((node) => node.waitMessage({ id: this.#parts.id, timeoutMs }, options))
      .catch(() => undefined);
    // Of many, another one may answer.
    const alone = waited?.final === true && !isToMany(this.#parts.address);
    const failed = alone ? waited.receipts.find(isFailure) : undefined;
    if (failed !== undefined) throw this.#notDelivered(failed);
    return new Promise<never>(() => undefined);
  }

  /** Nobody waits for the answer any more: a question that is read by nobody yet is withdrawn, its reader told. */
  async #takeBack(): Promise<void> {
    const { door, id, to, address } = this.#parts;
    const chosen = address.kind === 'capability' ? await this.#chosen() : to;
    if (chosen === '') return;
    const message = {
      id: newMessageId(),
      to: chosen,
      cancels: id,
      correlationId: id,
      traceparent: newTraceparent(),
    };
    await door.call((node) => node.send({ message }));
  }

  /** Who can do something is chosen anew for each message, so the one that was chosen is told by name. Empty: not known. */
  async #chosen(): Promise<string> {
    const { door, id } = this.#parts;
    const { receipts } = await door.call((node) => node.waitMessage({ id, timeoutMs: 0 }));
    return receipts.find(({ recipientName }) => recipientName !== '')?.recipientName ?? '';
  }

  #notDelivered({ stage, reason, detail }: Receipt): FleetwireError {
    const why = reason || 'NOT_DELIVERED';
    const said = `the question did not reach ${visible(this.#parts.to)}: ${stageName(stage)}, ${visible(detail || why)}`;
    return new FleetwireError(kindOfReason(why), why, said, { details: { message_id: this.#parts.id } });
  }

  #timedOut(): FleetwireError {
    const said = `no answer of ${visible(this.#parts.to)} within ${this.#parts.seconds} s`;
    return new FleetwireError('deadline_exceeded', 'ASK_TIMEOUT', said, {
      help: `See with trace how far the question ${this.#parts.id} came; an answer that comes later is in your inbox.`,
      details: { message_id: this.#parts.id },
    });
  }
}

/** Expired is what the time-out says better. */
const FAILURES: readonly Stage[] = [Stage.RETURNED, Stage.DEAD];
const isFailure = ({ stage, final }: Receipt): boolean => final && FAILURES.includes(stage);
