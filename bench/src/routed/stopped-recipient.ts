/** One recipient that can stand still while its senders go on, and what comes of their mail. */

import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { pause } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import type { BenchNode } from '../fabric.ts';
import { startTasks } from '../task-process.ts';
import { QUEUE_MESSAGES, type Watched, watch } from './stopped-watch.ts';

export const STOPPED = 'stopped';
/** Of each sender: what may wait for the stopped one before it is refused. */
export const OUTBOX_RECIPIENT_MESSAGES = 25;
/** For the nodes of a fabric that has such a recipient. */
export const STOPPED_NODE_ENV = {
  FLEETWIRE_NODE_OUTBOX_RECIPIENT_MESSAGES: String(OUTBOX_RECIPIENT_MESSAGES),
} as const;
/** Within this time after it goes on all of its mail has ended. */
const SETTLE_MS = 30_000;
const LOOK_MS = 100;

/** What came of the time that it stood still, and of all that its senders have sent, to others as well. */
export interface StoodStill extends Watched {
  readonly accepted: number;
  /** By the stage of the final receipt. */
  readonly ends: Readonly<Record<string, number>>;
  /** Accepted, and without an end when the time was over: 0 is right. */
  readonly unended: number;
}

export interface Pace {
  readonly to: readonly string[];
  /** Messages a second of all senders together, to all of `to` in turn. */
  readonly rate: number;
  readonly bytes: number;
  readonly ms: number;
}

interface State {
  readonly accepted: number;
  readonly open: number;
  readonly ends: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
}

type Nodes = readonly RpcClient<typeof NodeServiceDefinition>[];

/** It takes its mail until it is told to stand still. */
export class StoppedRecipient {
  readonly #senders = startTasks('workers/isolation-clients');
  readonly #stopped = startTasks('workers/isolation-clients');
  readonly #nodes: Nodes;
  #watching: ReturnType<typeof watch> | undefined;
  #fault: unknown;

  private constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  /** At `home`; the senders are dealt out to `near` in turn. */
  static async start(
    home: BenchNode,
    near: readonly BenchNode[],
    senders: readonly string[],
  ): Promise<StoppedRecipient> {
    const nodes = [home, ...near].map(({ address, token }) =>
      createRpcClient(NodeServiceDefinition, { address, token: () => token }),
    );
    const it = new StoppedRecipient(nodes);
    try {
      await it.#senders.run('senders', { places: near.map(placeOf), names: senders });
      const own = { place: placeOf(home), name: STOPPED, messages: QUEUE_MESSAGES };
      await it.#stopped.run('stopped', own);
      await it.#stopped.run('goOn');
    } catch (error) {
      await it.close();
      throw error;
    }
    return it;
  }

  /** The senders send, to others as well, whatever is refused. */
  async pace(pace: Pace): Promise<void> {
    await this.#senders.run('pace', pace);
  }

  /** The same again and again. What goes wrong, `check` throws. */
  async paceUntil(enough: AbortSignal, pace: Pace): Promise<void> {
    try {
      while (!enough.aborted) await this.pace(pace);
    } catch (error) {
      this.#fault = error;
    }
  }

  /** Nodes are looked at every `lookMs`. */
  async standStill(lookMs: number): Promise<void> {
    await this.#senders.run('begin');
    await this.#stopped.run('standStill');
    this.#watching = watch(this.#nodes, STOPPED, lookMs);
  }

  /** Throws when watching or writing has failed. */
  check(): void {
    const fault = this.#fault ?? this.#watching?.fault();
    if (fault !== undefined) throw fault;
  }

  /** Resolves when all that was accepted has ended, or has had its time for it. */
  async goOn(): Promise<StoodStill> {
    this.check();
    const { refusals } = await this.#senders.run<State>('state');
    await this.#stopped.run('goOn');
    const { accepted, open, ends } = await this.#settle();
    return { ...(await this.#watching!.end(refusals)), accepted, ends, unended: open };
  }

  async #settle(): Promise<State> {
    const until = performance.now() + SETTLE_MS;
    for (;;) {
      const state = await this.#senders.run<State>('state');
      if (state.open === 0 || performance.now() > until) return state;
      await pause(LOOK_MS);
    }
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) node.close();
    await this.#stopped.stop();
    await this.#senders.stop();
  }
}

export const placeOf = ({ address, token }: BenchNode) => ({ address, token });
