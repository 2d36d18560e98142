/** Tells the nodes that send to an agent to hold back while its queue is nearly full, and to go on once it is nearly empty. */

import { PeerFrame } from '@fleetwire/gen/message';
import { type Clock, isId } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { BusySignal } from '../domain/busy-signal.ts';

export interface PressureParts {
  readonly node: string;
  readonly nodeName: string;
  readonly clock: Clock;
  /** Hundredths of a queue's bounds. */
  readonly busyPercent: number;
  readonly readyPercent: number;
  readonly retryMs: number;
  /** Frames that say go on are spread over this time, so that not all senders start at once. */
  readonly jitterMs: number;
  readonly recentMs: number;
  readonly sendersMax: number;
  /** At least 0, less than 1. */
  random(): number;
  /** Core NATS: what is lost costs a moment. Never throws. */
  frame(toNode: string, frame: PeerFrame): void;
  /** Runs it once the turn has committed. */
  after(effect: () => void): void;
}

interface Line {
  readonly signal: BusySignal;
  /** Frames that wait for their moment. */
  readonly timers: Set<NodeJS.Timeout>;
}

export class Pressure {
  readonly #parts: PressureParts;
  readonly #lines = new WeakMap<HostedAgent, Line>();
  readonly #busy = new Set<HostedAgent>();
  #repeat: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(parts: PressureParts) {
    this.#parts = parts;
  }

  /** Inside a turn: mail for the agent has come from another node. */
  heard(agent: HostedAgent, fromNode: string): void {
    if (fromNode === this.#parts.node || !isId('node', fromNode)) return;
    const { signal } = this.#lineOf(agent);
    if (signal.heard(fromNode, this.#parts.clock.monotonicMs()))
      this.#parts.after(() => this.#tellBusy(agent, signal, [fromNode]));
  }

  /** Inside a turn: something has been put into its queue. */
  filled(agent: HostedAgent): void {
    if (agent.busy || !agent.queue.isFilled(this.#parts.busyPercent) || isGone(agent)) return;
    // What is new is to take the place of what is old: held back at its sender it would wait for that instead.
    if (agent.queue.bounds.drop === 'oldest') return;
    agent.busy = true;
    this.#busy.add(agent);
    const line = this.#lineOf(agent);
    cancel(line);
    const due = line.signal.rise(this.#parts.clock.monotonicMs());
    this.#parts.after(() => {
      if (agent.busy) this.#tellBusy(agent, line.signal, due);
      this.#keepTelling();
    });
  }

  /** Inside a turn: something has left its queue. */
  emptied(agent: HostedAgent): void {
    if (!agent.busy || agent.queue.isAbove(this.#parts.readyPercent)) return;
    agent.busy = false;
    this.#busy.delete(agent);
    const line = this.#lineOf(agent);
    const { clock, after, jitterMs, random } = this.#parts;
    const { nodes, credits } = line.signal.fall(clock.monotonicMs(), agent.queue.room);
    if (isGone(agent)) {
      this.#forget(agent);
      return;
    }
    after(() => {
      for (const node of nodes) {
        const timer = setTimeout(() => {
          line.timers.delete(timer);
          this.#tellReady(agent, line.signal, node, credits);
        }, random() * jitterMs).unref();
        line.timers.add(timer);
      }
    });
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#repeat);
  }

  /** Until none is busy any more. */
  #keepTelling(): void {
    this.#repeat ??= setInterval(() => {
      const nowMs = this.#parts.clock.monotonicMs();
      for (const agent of this.#busy) {
        if (isGone(agent)) this.#forget(agent);
        else {
          const { signal } = this.#lineOf(agent);
          this.#tellBusy(agent, signal, signal.due(nowMs));
        }
      }
      if (this.#busy.size > 0) return;
      clearInterval(this.#repeat);
      this.#repeat = undefined;
    }, this.#parts.retryMs / 4).unref();
  }

  #tellBusy(agent: HostedAgent, signal: BusySignal, nodes: readonly string[]): void {
    if (isGone(agent) || this.#stopped) return;
    const busy = {
      ...this.#about(agent, signal),
      queueDepth: agent.queue.depth,
      reason: 'queue_full',
      retryAfterMs: this.#parts.retryMs,
    };
    for (const node of nodes) this.#parts.frame(node, PeerFrame.fromPartial({ busy }));
  }

  #tellReady(agent: HostedAgent, signal: BusySignal, node: string, credits: number): void {
    if (isGone(agent) || this.#stopped) return;
    const ready = { ...this.#about(agent, signal), credits };
    this.#parts.frame(node, PeerFrame.fromPartial({ ready }));
  }

  #about(agent: HostedAgent, signal: BusySignal) {
    const { node, nodeName, clock } = this.#parts;
    return { agent: agent.id, name: agent.name, node, nodeName, seq: signal.nextSeq(clock.nowUs()) };
  }

  #lineOf(agent: HostedAgent): Line {
    const known = this.#lines.get(agent);
    if (known !== undefined) return known;
    const { recentMs, sendersMax, retryMs } = this.#parts;
    const signal = new BusySignal({ recentMs, sendersMax, lapseMs: retryMs });
    const line = { signal, timers: new Set<NodeJS.Timeout>() };
    this.#lines.set(agent, line);
    return line;
  }

  #forget(agent: HostedAgent): void {
    agent.busy = false;
    this.#busy.delete(agent);
    const line = this.#lines.get(agent);
    if (line !== undefined) cancel(line);
    this.#lines.delete(agent);
  }
}

/** It has been removed, or lives elsewhere: nothing is said of it any more. */
function isGone(agent: HostedAgent): boolean {
  return agent.removed || agent.moving.leavingEpoch > 0;
}

function cancel({ timers }: Line): void {
  for (const timer of timers) clearTimeout(timer);
  timers.clear();
}
