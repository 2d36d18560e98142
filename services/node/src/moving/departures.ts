/** Agents that leave for another node: what was attempted ends here, all else is handed over, in order, until nothing comes. */

import { LIMITS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Envelope, InboxEntry, type MoveMark, type Moving } from '@fleetwire/gen/message';
import type { HandOverRequest } from '@fleetwire/gen/registry';
import { asFleetwireError, backoffMs, type Clock, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent, Taker } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { returned, unconfirmed } from '../domain/receipt.ts';
import type { Custody } from '../mail/custody.ts';
import { StreamSession } from '../mail/stream-session.ts';
import type { AgentTable } from '../store/agent-table.ts';
import type { InboxTable } from '../store/inbox-table.ts';
import type { MovingTable } from '../store/moving-table.ts';
import type { Turns } from '../store/turns.ts';

export interface DeparturesParts {
  readonly book: AgentBook;
  readonly agents: AgentTable;
  readonly inbox: InboxTable;
  readonly moving: MovingTable;
  readonly custody: Custody;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long what was attempted may still be proved. */
  readonly settleMs: number;
  /** How far back what ended here is told to the new node, and how much of it at most. */
  readonly rememberMs: number;
  readonly rememberMax: number;
  /** How long an agent that has left is remembered, for mail that comes late. */
  readonly keepMs: number;
  /** At the registry. */
  handOver(request: HandOverRequest): Promise<unknown>;
  /** Ends the program that takes the agent's mail; what it was handed is left as it is. */
  endProgram(agent: HostedAgent): Promise<void>;
}

const MOVED = 'the agent lives on another node now';
const AGENT_MOVED = returned('AGENT_MOVED', MOVED);
const UNSETTLED = unconfirmed('AGENT_MOVED', 'the agent moved before it was known to have it');
const BATCH_BYTES = 1536 * 1024;
const RETRY = { initialMs: 100, maxMs: 5000 } as const;
const LOOK_MS = 20;
const KEEP_LOOK_MS = 60_000;
/** The registry does not take anything of it any more. */
const REFUSALS = ['MOVE_OVER', 'MOVE_UNKNOWN', 'NOT_HERE'];

/** Nobody takes the mail of an agent that leaves but the hand-over. */
const LEAVING: Taker = { hasRoom: () => false, deliver: () => undefined };

export class Departures {
  readonly #parts: DeparturesParts;
  readonly #stopping = new AbortController();
  readonly #running = new Map<HostedAgent, Promise<void>>();
  readonly #wake = new Map<HostedAgent, () => void>();
  #forgetting: NodeJS.Timeout | undefined;

  constructor(parts: DeparturesParts) {
    this.#parts = parts;
  }

  /** What was under way at the last stop goes on. */
  start(): void {
    for (const agent of this.#parts.book.allLeaving()) this.#run(agent);
    this.#forgetting = setInterval(() => this.#forgetLongGone(), KEEP_LOOK_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#forgetting);
    this.#stopping.abort();
    for (const wake of this.#wake.values()) wake();
    await Promise.all(this.#running.values());
  }

  /** What the registry says with WELCOME and with each heartbeat. Once it resolves, their mail is not delivered here. */
  async told(list: readonly Moving[]): Promise<void> {
    const news = list.filter(({ agent }) => this.#parts.book.byId(agent) !== undefined);
    if (news.length === 0) return;
    await this.#parts.turns.run(() => {
      for (const moving of news) this.#begin(moving);
    });
  }

  /** Inside a turn: no router sends mail for the agent to here any more, and all that was sent has come. */
  marked(mark: MoveMark): void {
    const { book, moving } = this.#parts;
    if (book.byId(mark.agent) !== undefined) this.#begin(mark);
    const agent = book.leaving(mark.agent);
    if (agent === undefined || agent.moving.leavingEpoch !== mark.epoch || agent.moving.marked) return;
    agent.moving.marked = true;
    moving.save(agent.num, agent.moving);
    this.#parts.turns.after(() => this.#go(agent));
  }

  /** Inside a turn: there is more to hand over. */
  came(agent: HostedAgent): void {
    this.#parts.turns.after(() => this.#go(agent));
  }

  #begin({ agent: id, epoch }: Moving): void {
    const { book, agents, moving, custody, turns, log } = this.#parts;
    const agent = book.byId(id);
    // An earlier move that is told of once more, or one that cannot be true: mail of the one before is still to come.
    if (agent === undefined || epoch <= agent.moving.arrivedEpoch || agent.moving.arriving > 0) return;
    Object.assign(agent.moving, { leavingEpoch: epoch, marked: false, leftAtUs: 0 });
    custody.refill(agent, true);
    moving.save(agent.num, agent.moving);
    agents.freeName(agent.num);
    book.markLeaving(agent);
    agent.taker ??= LEAVING;
    log.info({ agent: agent.name }, 'an agent moves away from here');
    turns.after(() => this.#go(agent));
  }

  #go(agent: HostedAgent): void {
    const wake = this.#wake.get(agent);
    if (wake === undefined) this.#run(agent);
    else wake();
  }

  #run(agent: HostedAgent): void {
    if (this.#stopping.signal.aborted || this.#running.has(agent)) return;
    const epoch = agent.moving.leavingEpoch;
    const work = this.#leave(agent, epoch)
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#parts.log.error(
            { err: asFleetwireError(error), agent: agent.name },
            'a hand-over has failed',
          );
      })
      .finally(() => {
        this.#running.delete(agent);
        this.#wake.delete(agent);
        // It has come back and leaves again: another move.
        if (agent.moving.leavingEpoch > epoch) this.#run(agent);
      });
    this.#running.set(agent, work);
  }

  async #leave(agent: HostedAgent, epoch: number): Promise<void> {
    await this.#settle(agent);
    const { signal } = this.#stopping;
    let known = agent.moving.marked;
    for (let attempt = 0; !signal.aborted && agent.moving.leavingEpoch === epoch; ) {
      const news = new Promise<void>((resolve) => this.#wake.set(agent, resolve));
      try {
        // Of a move that ended without this node no mark comes: what it holds of the agent would be kept for ever.
        if (!known) await this.#parts.handOver({ agent: agent.id, epoch, entries: [], done: false });
        known = true;
        const more = await this.#handOn(agent, epoch);
        attempt = 0;
        if (!more) await news;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asFleetwireError(thrown);
        if (REFUSALS.includes(error.reason)) await this.#giveUp(agent, epoch);
        else {
          if (attempt % 10 === 0)
            this.#parts.log.warn({ err: error, agent: agent.name }, 'not handed over yet; trying again');
          await pause(backoffMs(RETRY, attempt++), signal);
        }
      }
    }
  }

  /** What was attempted may prove itself for a while, then ends here: it is never handed over. */
  async #settle(agent: HostedAgent): Promise<void> {
    const { clock, settleMs, custody, turns, endProgram } = this.#parts;
    const { signal } = this.#stopping;
    const until = clock.monotonicMs() + settleMs;
    while (agent.queue.attempted.size > 0 && agent.taker !== undefined && agent.taker !== LEAVING) {
      if (signal.aborted || clock.monotonicMs() >= until) break;
      await pause(LOOK_MS, signal);
    }
    if (signal.aborted) return;
    const { taker } = agent;
    if (taker instanceof StreamSession) taker.goodbye('AGENT_MOVED', MOVED);
    await endProgram(agent);
    await turns.run(() => {
      agent.taker = LEAVING;
      // Who still waits for its mail hears of it.
      agent.queue.wake();
      // Also what a reader is being shown: where the agent goes it is shown again, but for what was taken back.
      custody.expire(agent, Number.POSITIVE_INFINITY);
      custody.end([...agent.queue.attempted.values()], UNSETTLED);
    });
  }

  /** True when there may be more at once. */
  async #handOn(agent: HostedAgent, epoch: number): Promise<boolean> {
    const { handOver, turns, custody, moving, clock, log } = this.#parts;
    const stillLeaving = () => agent.moving.leavingEpoch === epoch;
    const batch = nextBatch(agent);
    if (batch.length > 0) {
      const entries = batch.map((entry) => this.#entryOf(agent, entry));
      await handOver({ agent: agent.id, epoch, entries, done: false });
      await turns.run(() => {
        if (stillLeaving()) custody.giveAway(agent, batch);
      });
      return true;
    }
    if (!agent.moving.marked || agent.moving.leftAtUs > 0) return false;
    for (const entries of this.#settledHere(agent))
      await handOver({ agent: agent.id, epoch, entries, done: false });
    await handOver({ agent: agent.id, epoch, entries: [], done: true });
    await turns.run(() => {
      if (!stillLeaving()) return;
      agent.moving.leftAtUs = clock.nowUs();
      moving.save(agent.num, agent.moving);
    });
    log.info({ agent: agent.name }, 'all mail of an agent is handed over');
    return true;
  }

  #entryOf(agent: HostedAgent, entry: Entry): InboxEntry {
    const { ingressAtUs, routedAtUs, router, deadlineUs } = entry;
    const envelope =
      this.#parts.inbox.envelope(agent.num, entry.seq) ??
      encode(Envelope, this.#parts.custody.envelopeOf(entry));
    const times = { ingressAtUs, routedAtUs, router, deadlineUs };
    return InboxEntry.fromPartial({ ...times, envelope, recipients: [agent.id] });
  }

  /** So that a router that repeats what was delivered here does not have it delivered there again. */
  *#settledHere(agent: HostedAgent): Generator<InboxEntry[]> {
    const { inbox, clock, rememberMs, rememberMax } = this.#parts;
    const rows = inbox.settledSince(agent.num, clock.nowUs() - rememberMs * 1000, rememberMax);
    for (let i = 0; i < rows.length; i += LIMITS.packMessages) {
      yield rows.slice(i, i + LIMITS.packMessages).map(({ id, sender, attempt }) =>
        InboxEntry.fromPartial({
          envelope: encode(Envelope, Envelope.fromPartial({ id, fromAgent: sender, attempt })),
        }),
      );
    }
  }

  /** The agent has moved without this node: nobody would take what is left here. */
  async #giveUp(agent: HostedAgent, epoch: number): Promise<void> {
    const { turns, custody, moving, clock } = this.#parts;
    await turns.run(() => {
      if (agent.moving.leavingEpoch !== epoch) return;
      custody.returnWaiting(agent, AGENT_MOVED);
      Object.assign(agent.moving, { marked: true, leftAtUs: clock.nowUs() });
      moving.save(agent.num, agent.moving);
    });
  }

  #forgetLongGone(): void {
    const { book, agents, moving, turns, clock, keepMs } = this.#parts;
    const before = clock.nowUs() - keepMs * 1000;
    const isGone = ({ moving: { leavingEpoch, leftAtUs }, queue }: HostedAgent) =>
      leavingEpoch > 0 && leftAtUs > 0 && leftAtUs < before && queue.depth === 0;
    const gone = book.allLeaving().filter(isGone);
    if (gone.length === 0) return;
    turns.add(() => {
      // Mail may have come for it, or it may be back, earlier in the same turn.
      for (const agent of gone.filter(isGone)) {
        moving.forget(agent.num);
        agents.delete(agent.num);
        book.forget(agent);
        agent.moving.leavingEpoch = 0;
        this.#wake.get(agent)?.();
      }
    });
  }
}

/** Those that come next: the first always, then as much as one call may hold. */
function nextBatch(agent: HostedAgent): Entry[] {
  const batch: Entry[] = [];
  let bytes = 0;
  for (const entry of agent.queue.waiting.ahead()) {
    bytes += entry.size;
    if (batch.length >= LIMITS.packMessages || (batch.length > 0 && bytes > BATCH_BYTES)) break;
    batch.push(entry);
  }
  return batch;
}
