/** Mail for agents whose queue is full: each waits for its own agent's room, in memory, unacknowledged, and for a while only. */

import type { PulledMessage } from '@fleetwire/broker';
import { type Clock, Deque } from '@fleetwire/kernel';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Turns } from '../store/turns.ts';

/** One message of the broker, acknowledged once all that is in it is settled. */
export interface Pack {
  readonly message: PulledMessage;
  /** Parcels that are not settled yet. */
  left: number;
  /** Of them, those that wait here. */
  waiting: number;
}

/** What is in a pack for one agent. */
export interface Parcel {
  readonly pack: Pack;
  /** Bytes of the envelope for which the queue must have room; undefined: it needs none, it only keeps its place. */
  readonly needs: number | undefined;
  /** Inside a turn: takes it in; what does not fit then goes by the policy of the queue. */
  take(): void;
}

export interface OverflowParts {
  readonly book: Pick<AgentBook, 'byId' | 'leaving'>;
  readonly turns: Turns;
  readonly clock: Clock;
  /** How long one parcel waits while its agent takes nothing up; twice that in all. 0: not at all. */
  readonly waitMs: number;
  /** Of one agent. */
  readonly messages: number;
  /** Of packs, for one agent; four times as many for all. */
  readonly bytes: number;
  /** Of all agents; three quarters of them for one: all that the stream keeps for it while its node is away. */
  readonly packs: number;
  /** Inside a turn: a parcel that waited has been taken in. */
  settled(pack: Pack): void;
}

interface Line {
  readonly id: string;
  readonly agent: HostedAgent;
  readonly parcels: Deque<Parcel & { readonly sinceMs: number }>;
  packs: number;
  bytes: number;
  /** When the first of it was last taken in for want of nothing. */
  progressMs: number;
  timer: NodeJS.Timeout | undefined;
}

/** One agent may have so much of the bytes for all, and of the packs. */
const BYTES_SHARE = 1 / 4;
const PACKS_SHARE = 3 / 4;
/** Times `waitMs` that one parcel waits although its agent takes mail up. */
const WAITS_MAX = 2;
/** Well below the consumer's ack_wait, after which the broker would hand out again what still waits here. */
const RENEW_MS = 3000;

export class Overflow {
  readonly #parts: OverflowParts;
  readonly #lines = new Map<string, Line>();
  #packs = 0;
  #bytes = 0;

  constructor(parts: OverflowParts) {
    this.#parts = parts;
  }

  /** Messages that wait for this agent. */
  depth(id: string): number {
    return this.#lines.get(id)?.parcels.length ?? 0;
  }

  /** Inside a turn. Has mail for this agent, which needs so much room, to wait: behind other mail of its, or for room? */
  mustWait(id: string, agent: HostedAgent | undefined, needs: number | undefined): boolean {
    if (this.#lines.size > 0 && this.#lines.has(id)) return true;
    return agent !== undefined && lacksRoom(agent, needs) && this.#mayMakeRoom(agent);
  }

  /** Inside a turn. False: there is no room for it here either, and nothing is before it, so it is to be taken in at once. */
  add(id: string, agent: HostedAgent | undefined, parcel: Parcel): boolean {
    const known = this.#lines.get(id);
    if (known !== undefined) {
      while (known.parcels.length > 0 && !this.#hasRoom(known, parcel.pack)) this.#takeFirst(known);
      if (known.parcels.length === 0) this.#close(known);
    }
    if (agent === undefined) return this.#lines.has(id) && this.#push(this.#lines.get(id)!, parcel);
    const line = this.#lines.get(id) ?? this.#open(id, agent);
    if (this.#hasRoom(line, parcel.pack)) return this.#push(line, parcel);
    this.#close(line);
    return false;
  }

  /** Nothing of what waits is settled: it comes again. */
  clear(): void {
    for (const line of this.#lines.values()) this.#close(line);
    this.#packs = 0;
    this.#bytes = 0;
  }

  #hasRoom(line: Line, pack: Pack): boolean {
    const { messages, bytes, packs } = this.#parts;
    const size = pack.message.data.length;
    const more = pack.waiting === 0 ? 1 : 0;
    if (this.#packs + more > packs || this.#bytes + more * size > bytes / BYTES_SHARE) return false;
    if (line.parcels.length === 0) return true;
    if (line.parcels.length >= messages) return false;
    const own = line.parcels.at(line.parcels.length - 1)?.pack === pack ? 0 : 1;
    return line.packs + own <= Math.max(1, packs * PACKS_SHARE) && line.bytes + own * size <= bytes;
  }

  #push(line: Line, parcel: Parcel): boolean {
    const { pack, needs } = parcel;
    const last = line.parcels.at(line.parcels.length - 1)?.pack;
    if (last !== pack) {
      line.packs++;
      line.bytes += pack.message.data.length;
    }
    if (pack.waiting++ === 0) {
      this.#packs++;
      this.#bytes += pack.message.data.length;
    }
    const sinceMs = this.#parts.clock.monotonicMs();
    line.parcels.push({ pack, needs, take: () => parcel.take(), sinceMs });
    this.#watch(line);
    return true;
  }

  /** Inside a turn: takes the first one in, whether it fits or not. */
  #takeFirst(line: Line): void {
    const parcel = line.parcels.shift()!;
    const { pack } = parcel;
    const size = pack.message.data.length;
    if (line.parcels.at(0)?.pack !== pack) {
      line.packs--;
      line.bytes -= size;
    }
    if (--pack.waiting === 0) {
      this.#packs--;
      this.#bytes -= size;
    }
    parcel.take();
    this.#parts.settled(pack);
  }

  /** Inside a turn: there may be room. */
  #fill(line: Line): void {
    if (this.#lines.get(line.id) !== line) return;
    for (let next = line.parcels.at(0); next !== undefined; next = line.parcels.at(0)) {
      const agent = this.#agentOf(line.id);
      if (agent !== undefined && lacksRoom(agent, next.needs)) break;
      line.progressMs = this.#parts.clock.monotonicMs();
      this.#takeFirst(line);
    }
    if (line.parcels.length === 0) this.#close(line);
  }

  /** Inside a turn: what has waited too long is taken in as it is. */
  #overdue(line: Line): void {
    if (this.#lines.get(line.id) !== line) return;
    const nowMs = this.#parts.clock.monotonicMs();
    while (line.parcels.length > 0 && this.#untilMs(line, nowMs) <= nowMs) this.#takeFirst(line);
    this.#fill(line);
    if (this.#lines.get(line.id) === line) this.#watch(line);
  }

  /** Until when the first one waits. */
  #untilMs(line: Line, nowMs: number): number {
    const { waitMs } = this.#parts;
    const { sinceMs } = line.parcels.at(0)!;
    const patient = Math.max(sinceMs, line.progressMs) + waitMs;
    const until = Math.min(patient, sinceMs + WAITS_MAX * waitMs);
    const expected = this.#agentOf(line.id)?.expectedUntilMs ?? 0;
    return expected > nowMs ? Math.max(expected, until) : until;
  }

  /** One timer for a line: for the first one's time, and before the broker thinks that its packs are lost. */
  #watch(line: Line): void {
    if (line.timer !== undefined) return;
    const nowMs = this.#parts.clock.monotonicMs();
    const waitMs = Math.min(RENEW_MS, Math.max(0, this.#untilMs(line, nowMs) - nowMs));
    line.timer = setTimeout(() => {
      line.timer = undefined;
      if (waitMs === RENEW_MS) this.#renew(line);
      this.#parts.turns.add(() => this.#overdue(line));
    }, Math.ceil(waitMs));
  }

  #renew(line: Line): void {
    let last: Pack | undefined;
    for (let i = 0; i < line.parcels.length; i++) {
      const { pack } = line.parcels.at(i)!;
      if (pack !== last) pack.message.working();
      last = pack;
    }
  }

  /** Is its full queue worth a wait? */
  #mayMakeRoom(agent: HostedAgent): boolean {
    const { waitMs, clock } = this.#parts;
    return waitMs > 0 && (agent.taker !== undefined || clock.monotonicMs() < agent.expectedUntilMs);
  }

  #agentOf(id: string): HostedAgent | undefined {
    return this.#parts.book.byId(id) ?? this.#parts.book.leaving(id);
  }

  #open(id: string, agent: HostedAgent): Line {
    const line: Line = {
      id,
      agent,
      parcels: new Deque(),
      packs: 0,
      bytes: 0,
      progressMs: 0,
      timer: undefined,
    };
    agent.roomMade = () => this.#fill(line);
    this.#lines.set(id, line);
    return line;
  }

  #close(line: Line): void {
    clearTimeout(line.timer);
    line.agent.roomMade = undefined;
    this.#lines.delete(line.id);
  }
}

/** What moves here with the agent was bounded before, and what waits for that does so on the disk. */
function lacksRoom(agent: HostedAgent, needs: number | undefined): boolean {
  return needs !== undefined && agent.moving.arriving === 0 && !agent.queue.hasRoom(needs);
}
