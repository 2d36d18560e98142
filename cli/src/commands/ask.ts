/** ask: a question and its answer, which alone is taken out of the mailbox; Ctrl-C takes the question back. */

import { kindOfReason, TTL_CAP_MS } from '@fleetwire/contract';
import { Priority, type Receipt, Stage } from '@fleetwire/gen/message';
import type { Delivery, WaitMessageResponse } from '@fleetwire/gen/node';
import { type Address, FleetwireError, isToMany, newMessageId, parseAddress } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { duration, oneOf } from '../arguments.ts';
import { type Acting, ANSWER_MS, type CommandContext } from '../command-context.ts';
import { catchSignals, type Leaving } from '../fabric/signals.ts';
import { visible } from '../output.ts';
import { stageName } from '../trace-document.ts';
import { deliveryDocument } from './message.ts';
import { bodyOf, PRIORITIES } from './send.ts';

export function addAskCommand(program: Command, action: Action): void {
  program
    .command('ask')
    .description('ask an agent and print its answer: fleetwire ask bob "is it done?"')
    .argument(
      '<to>',
      'an agent, like bob or bob@laptop, or ?review; of many, like #ops, the first answer counts',
    )
    .argument('[text...]', 'the question; read from standard input when left out')
    .option('--from <agent>', 'ask in the name of this agent of this machine')
    .option('--node <name>', 'use this node of this machine')
    .option('--timeout <time>', 'how long to wait for the answer', duration('--timeout', '1s', '1d'), 60_000)
    .option(
      '--priority <level>',
      `which of your messages for one recipient go first: ${Object.keys(PRIORITIES).join(', ')}`,
      oneOf('--priority', Object.keys(PRIORITIES)),
    )
    .action(action(ask));
}

interface AskOptions {
  readonly from?: string;
  readonly node?: string;
  /** Milliseconds. */
  readonly timeout: number;
  readonly priority?: string;
}

/** One call to the node waits this long at most for an answer, or for a word on the question. */
const READ_MS = 30_000;
const LOOK_MS = 1000;
/** For so long no other reader of the mailbox is given the answer that is about to be shown. */
const HOLD_MS = 10_000;

async function ask(
  context: CommandContext,
  options: AskOptions,
  to: string,
  words: readonly string[],
): Promise<void> {
  const address = parseAddress(to);
  const body = await bodyOf(words);
  const acting = await context.acting(options.from, options.node);
  const { newTraceparent, traceIdOf } = await import('@fleetwire/telemetry');
  const id = newMessageId();
  // Whose mail goes elsewhere cannot be told the answer: better known before anybody is asked.
  await acting.node.readInbox({ agent: acting.agent, replyTo: id, limit: 1 });
  const priority = PRIORITIES[options.priority ?? ''] ?? Priority.UNSPECIFIED;
  const leaving = catchSignals();
  try {
    const began = performance.now();
    const message = {
      id,
      to,
      body,
      answerWithinMs: options.timeout,
      priority,
      traceparent: newTraceparent(),
    };
    const sent = await acting.node.send({ from: acting.agent, message });
    const question = new Question(context, acting, address, { id, to, priority, timeoutMs: options.timeout });
    const answer = await question.answered(leaving);
    const document = {
      id,
      to,
      correlation_id: sent.correlationId,
      trace_id: traceIdOf(sent.traceparent),
      took_ms: Math.round(performance.now() - began),
      answer: deliveryDocument(answer),
    };
    context.output.result(document, () =>
      new TextDecoder().decode(answer.body).split('\n').map(visible).join('\n'),
    );
    await question.close(answer);
  } finally {
    leaving.release();
  }
}

interface Asked {
  readonly id: string;
  readonly to: string;
  readonly priority: Priority;
  readonly timeoutMs: number;
}

/** One question that was sent, until its answer was shown. */
class Question {
  readonly #context: CommandContext;
  readonly #acting: Acting;
  readonly #address: Address;
  readonly #asked: Asked;
  readonly #until: number;
  /** Ends what is still being waited for. */
  readonly #over = new AbortController();
  #told = '';
  #recipient = '';

  constructor(context: CommandContext, acting: Acting, address: Address, asked: Asked) {
    this.#context = context;
    this.#acting = acting;
    this.#address = address;
    this.#asked = asked;
    this.#until = performance.now() + asked.timeoutMs;
  }

  /** Rejects with the end of the question when nobody gets it; with ASK_TIMEOUT or ASK_CANCELLED, once it is taken back. */
  async answered(leaving: Leaving): Promise<Delivery> {
    const late = setTimeout(() => this.#over.abort(), this.#asked.timeoutMs);
    const leave = () => this.#over.abort();
    leaving.signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([this.#read(), this.#watch()]);
    } catch (error) {
      if (!this.#over.signal.aborted) throw error;
      await this.#takeBack();
      throw leaving.signal.aborted ? cancelled(this.#asked) : timedOut(this.#asked);
    } finally {
      clearTimeout(late);
      leaving.signal.removeEventListener('abort', leave);
      this.#over.abort();
    }
  }

  /** The answer has been shown, so it is taken out of the mailbox. */
  async close({ id }: Delivery): Promise<void> {
    await this.#acting.node.readInbox({ agent: this.#acting.agent, confirm: [id] });
  }

  /** Looks only: an answer that comes in the moment of giving up stays in the mailbox. */
  async #read(): Promise<Delivery> {
    const { node, agent } = this.#acting;
    for (;;) {
      const waitMs = Math.max(1, Math.min(READ_MS, this.#until - performance.now()));
      const look = { agent, limit: 1, replyTo: this.#asked.id, peek: true, holdMs: HOLD_MS };
      const call = { signal: this.#over.signal, deadlineMs: waitMs + ANSWER_MS };
      const { deliveries } = await node.readInbox({ ...look, waitMs: Math.ceil(waitMs) }, call);
      if (deliveries[0] !== undefined) return deliveries[0];
    }
  }

  /** Says how far the question has come; rejects when it has ended with nobody. Never resolves. */
  async #watch(): Promise<never> {
    const { node } = this.#acting;
    const { signal } = this.#over;
    for (let final = false; !final; ) {
      const call = { signal, deadlineMs: LOOK_MS + ANSWER_MS };
      const seen = await node.waitMessage({ id: this.#asked.id, timeoutMs: LOOK_MS }, call);
      const failure = failureOf(this.#asked, seen);
      if (failure !== undefined) throw failure;
      this.#tell(seen.receipts);
      final = seen.final;
    }
    return new Promise(() => undefined);
  }

  #tell(receipts: readonly Receipt[]): void {
    const last = receipts.findLast(({ recipientName }) => recipientName !== '');
    if (last === undefined) return;
    this.#recipient = last.recipientName;
    const line = `${stageName(last.stage)} by ${visible(last.recipientName)}, waiting for an answer`;
    if (line !== this.#told) this.#context.output.progress(line);
    this.#told = line;
  }

  /** What is refused here changes nothing: the question ends by its time. */
  async #takeBack(): Promise<void> {
    const { id: cancels, priority, timeoutMs } = this.#asked;
    const to = this.#address.kind === 'capability' ? this.#recipient : this.#asked.to;
    if (to === '') return;
    const message = { id: newMessageId(), to, cancels, priority, ttlMs: Math.min(timeoutMs, TTL_CAP_MS) };
    await this.#acting.node
      .send({ from: this.#acting.agent, message }, { deadlineMs: ANSWER_MS })
      .catch((error: unknown) => {
        if (!(error instanceof FleetwireError)) throw error;
        this.#context.output.progress(`the question was not taken back: ${error.message}`);
      });
  }
}

const FAILED: readonly Stage[] = [Stage.EXPIRED, Stage.RETURNED, Stage.DEAD];

/** Undefined: somebody has it, or may get it. Who shows no proof of having it may answer all the same. */
export function failureOf(
  { id, to }: Pick<Asked, 'id' | 'to'>,
  { receipts, final }: Pick<WaitMessageResponse, 'receipts' | 'final'>,
): FleetwireError | undefined {
  const ends = receipts.filter((receipt) => receipt.final);
  const [first] = ends;
  const several = isToMany(parseAddress(to));
  if (first === undefined || (several && !final)) return undefined;
  if (!ends.every(({ stage }) => FAILED.includes(stage))) return undefined;
  const reason = first.reason || 'NOT_DELIVERED';
  const why = visible(first.detail) || reason;
  return new FleetwireError(kindOfReason(reason), reason, `${stageName(first.stage)}: ${why}`, {
    help: `See every hop with: fleetwire trace ${id}`,
    details: { id },
  });
}

function timedOut({ id, to, timeoutMs }: Asked): FleetwireError {
  const said = `no answer of ${visible(to)} within ${timeoutMs / 1000} s; the question was taken back`;
  return new FleetwireError('deadline_exceeded', 'ASK_TIMEOUT', said, {
    help: `See how far it came: fleetwire trace ${id}. A late answer is in the mailbox: fleetwire inbox`,
    details: { id },
  });
}

function cancelled({ id, to }: Asked): FleetwireError {
  return new FleetwireError('cancelled', 'ASK_CANCELLED', `the question to ${visible(to)} was taken back`, {
    help: `See how far it came: fleetwire trace ${id}`,
    details: { id },
  });
}
