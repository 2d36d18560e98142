/** Attach: an agent's session. Sends are accepted in order, deliveries and receipts flow back on the same stream. */

import { checkProfile } from '@fleetwire/contract';
import type { AttachHello, AttachRequest, AttachResponse, Outgoing, SendRefused } from '@fleetwire/gen/node';
import type { AgentProfile } from '@fleetwire/gen/registry';
import { asFleetwireError, FleetwireError, pause } from '@fleetwire/kernel';
import { callerOf } from '@fleetwire/rpc';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { keepQueue } from '../agents/keep-queue.ts';
import type { Registration } from '../agents/registration.ts';
import { checkPriority } from '../domain/checks.ts';
import { FullNow } from '../domain/full-now.ts';
import { checkQueue } from '../domain/queue-settings.ts';
import type { Engine } from '../engine.ts';
import { Outflow } from '../mail/outflow.ts';
import { feedReceipts } from '../mail/receipt-session.ts';
import { StreamSession } from '../mail/stream-session.ts';
import { closing } from '../store/turns.ts';
import type { Callers, NodeContext } from './callers.ts';
import { helloOf, protocolFault, tooManySessions } from './session-start.ts';
import { SlowSessions } from './slow-sessions.ts';

export interface AttachParts {
  readonly engine: Engine;
  readonly callers: Callers;
  readonly registration: Registration;
  /** True while the outbox empties itself: then a full one is worth a short wait. */
  hubActive(): boolean;
}

/** Turns of one session that may be uncommitted before it is read on. */
const TURNS_MAX = 16;
/** Answers that may wait to be sent before the session is read on. */
const ANSWERS_MAX = 1024;
const LOOK_MS = 2;

export class AttachHandler {
  readonly #parts: AttachParts;
  readonly #open = new Set<Outflow>();
  /** Sessions that have not said hello yet, or whose agent is being looked up. */
  #arriving = 0;
  #sessions = 0;
  readonly #slow: SlowSessions;

  constructor(parts: AttachParts) {
    this.#parts = parts;
    this.#slow = new SlowSessions(parts.engine.config.slow_ms);
  }

  get open(): number {
    return this.#open.size;
  }

  /** Sessions that were cut off because their clients did not read. */
  get cutOff(): number {
    return this.#slow.cutOff;
  }

  async *attach(
    requests: AsyncIterable<AttachRequest>,
    context: NodeContext,
  ): AsyncGenerator<AttachResponse> {
    const iterator = requests[Symbol.asyncIterator]();
    const outflow = new Outflow();
    const { hello, agent } = await this.#arrive(iterator, context, outflow);
    const runsTheNode = callerOf(context).kind === 'admin';
    const call = new SessionCall(this.#parts, agent, hello, outflow, ++this.#sessions, runsTheNode);
    const over = () => outflow.end();
    const drain = () => call.close();
    const unwatch = this.#slow.watch({
      get taken() {
        return outflow.taken;
      },
      unread: () => context.answers.unsentBytes() + (outflow.heldUp ? 1 : 0),
      cut: () => call.cut(),
      breakOff: () => context.answers.breakOff(),
    });
    context.signal.addEventListener('abort', over, { once: true });
    context.draining.addEventListener('abort', drain, { once: true });
    try {
      await call.begin();
      if (context.signal.aborted) over();
      if (context.draining.aborted) drain();
      call.follow(iterator);
      yield* outflow.responses();
      if (call.fault !== undefined) throw call.fault;
    } finally {
      unwatch();
      context.signal.removeEventListener('abort', over);
      context.draining.removeEventListener('abort', drain);
      this.#open.delete(outflow);
      await call.end();
    }
  }

  /** Within the bound, to which every session counts from its first moment; `outflow` is among the open ones then. */
  async #arrive(
    requests: AsyncIterator<AttachRequest>,
    context: NodeContext,
    outflow: Outflow,
  ): Promise<{ hello: AttachHello; agent: HostedAgent }> {
    const { sessions, hello_ms: helloMs } = this.#parts.engine.config;
    const present = this.#open.size + this.#arriving;
    if (present >= sessions) throw tooManySessions(present);
    this.#arriving++;
    try {
      const hello = await helloOf(requests, helloMs);
      const agent = await this.#agentOf(hello, context);
      this.#open.add(outflow);
      return { hello, agent };
    } finally {
      this.#arriving--;
    }
  }

  async #agentOf(hello: AttachHello, context: NodeContext): Promise<HostedAgent> {
    const { registration, engine } = this.#parts;
    const { turns, tables } = engine;
    const profile = hello.profile && checkProfile(hello.profile);
    const queue = hello.queue && checkQueue(hello.queue);
    const agent = await this.#named(hello, profile, context);
    await registration.describe(agent, profile);
    await keepQueue({ turns, table: tables.agents }, agent, queue);
    return agent;
  }

  async #named(
    { name, localId, takeOver }: AttachHello,
    profile: AgentProfile | undefined,
    context: NodeContext,
  ): Promise<HostedAgent> {
    const { callers, registration, engine } = this.#parts;
    const caller = callers.allowed(context, 'send');
    const again = engine.book.byLocalId(localId);
    if (caller.kind === 'agent') {
      const self = callers.self(caller);
      // Renamed since its last session.
      return again === self ? self : callers.actsAs(context, name);
    }
    if (again !== undefined) return again;
    if (name === '') throw protocolFault('hello names no agent');
    return registration.ensure(name, { adapter: 'stream', profile, takeOver });
  }
}

/** One stream from hello to its end. */
class SessionCall {
  fault: FleetwireError | undefined;
  readonly #parts: AttachParts;
  readonly #agent: HostedAgent;
  readonly #hello: AttachHello;
  readonly #outflow: Outflow;
  readonly #session: StreamSession;
  /** It came by the node's admin token. */
  readonly #runsTheNode: boolean;
  #uncommitted = 0;
  #unlisten: () => void = () => {};

  constructor(
    parts: AttachParts,
    agent: HostedAgent,
    hello: AttachHello,
    outflow: Outflow,
    number: number,
    runsTheNode: boolean,
  ) {
    this.#parts = parts;
    this.#runsTheNode = runsTheNode;
    this.#agent = agent;
    this.#hello = hello;
    this.#outflow = outflow;
    const { clock, custody, tables, turns, config } = parts.engine;
    const windowBytes = config.window_bytes;
    const agents = tables.agents;
    this.#session = new StreamSession({
      agent,
      number,
      hello,
      windowBytes,
      clock,
      custody,
      agents,
      turns,
      outflow,
    });
  }

  async begin(): Promise<void> {
    const { turns, receiptLogs, asks, identity } = this.#parts.engine;
    const { id: agent, name, localId } = this.#agent;
    const welcome = {
      agent,
      name,
      node: identity.node,
      nodeName: identity.name,
      session: this.#session.number,
      localId,
    };
    await turns.run(() => {
      turns.after(() => this.#outflow.push({ welcome }));
      this.#session.begin();
    });
    if (this.#outflow.ended) return;
    if (this.#hello.receipts)
      this.#unlisten = feedReceipts(receiptLogs, this.#agent.num, this.#hello, this.#outflow);
    else
      this.#unlisten = asks.follow(this.#agent.num, (receipts) => {
        this.#outflow.push({ receipts: { receipts: [...receipts] } });
      });
  }

  /** Reads requests until the client ends its side or the session is over. */
  follow(requests: AsyncIterator<AttachRequest>): void {
    this.#read(requests).then(
      () => this.#outflow.end(),
      (thrown) => {
        this.fault = asFleetwireError(thrown);
        this.#outflow.end();
      },
    );
  }

  /** The node shuts down. */
  close(): void {
    const error = closing();
    this.#session.goodbye(error.reason, error.message);
  }

  /** The client does not read. Its stream may stay for a while: its mail waits for the next session from now on. */
  cut(): void {
    const { slow_ms: ms } = this.#parts.engine.config;
    this.#session.cut('SUBSCRIBER_SLOW', `nothing was read for ${ms} ms; connect again to go on`);
    void this.end();
  }

  async end(): Promise<void> {
    this.#unlisten();
    await this.#parts.engine.turns.run(() => this.#session.end()).catch(() => undefined);
  }

  async #read(requests: AsyncIterator<AttachRequest>): Promise<void> {
    for (;;) {
      const next = await requests.next();
      if (next.done || this.#outflow.ended) break;
      const { send, ack, hello } = next.value;
      if (ack !== undefined) this.#parts.engine.turns.add(() => this.#session.acknowledge(ack));
      else if (send !== undefined) await this.#send(send.messages);
      else if (hello !== undefined) throw protocolFault('a session has one hello');
      while (this.#uncommitted >= TURNS_MAX || this.#outflow.length >= ANSWERS_MAX) {
        if (this.#outflow.ended) return;
        await pause(LOOK_MS);
      }
    }
    // What was sent last is answered before the stream ends.
    while (this.#uncommitted > 0) await pause(LOOK_MS);
  }

  async #send(messages: readonly Outgoing[]): Promise<void> {
    await this.#waitForRoom(messages.length);
    const { turns, acceptance } = this.#parts.engine;
    const accepted: { ref: number; id: string }[] = [];
    const refused: SendRefused[] = [];
    this.#uncommitted++;
    turns.add(
      () => {
        const full = new FullNow();
        for (const message of messages) {
          try {
            full.check(message);
            checkPriority(message, this.#runsTheNode);
            accepted.push({ ref: message.ref, id: acceptance.accept(this.#agent, message).id });
          } catch (thrown) {
            if (!(thrown instanceof FleetwireError)) throw thrown;
            full.learn(message, thrown);
            refused.push(refusalOf(message.ref, thrown));
          }
        }
      },
      (error) => {
        this.#uncommitted--;
        if (error !== undefined) {
          for (const { ref } of messages) this.#outflow.push({ refused: refusalOf(ref, error) });
          return;
        }
        if (accepted.length > 0) this.#outflow.accepted(accepted);
        for (const refusal of refused) this.#outflow.push({ refused: refusal });
      },
    );
  }

  /** While the outbox empties itself, a session is slowed down rather than refused. */
  async #waitForRoom(count: number): Promise<void> {
    const { outbox, config } = this.#parts.engine;
    const until = performance.now() + config.outbox_wait_ms;
    while (!outbox.hasRoomFor(this.#agent.num, count + this.#uncommitted * count)) {
      if (!this.#parts.hubActive() || performance.now() > until || this.#outflow.ended) return;
      await pause(LOOK_MS);
    }
  }
}

function refusalOf(ref: number, error: FleetwireError): SendRefused {
  const { kind, reason, message, retryAfterMs = 0, help = '' } = error;
  return { ref, kind, reason, message, retryAfterMs, help };
}
