/** Events that nodes came or went: at most once a minute for each, and the last word is right when the minute is over. */

import { asFleetwireError, type Clock, nowMs, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { PresenceWords } from '../domain/presence.ts';
import type { NodeRows, RoutedNode } from '../store/nodes.ts';
import type { Announcer } from './announcer.ts';
import { tellOfNode } from './node-news.ts';

export interface PresenceNewsOptions {
  readonly nodes: Pick<NodeRows, 'routed'>;
  readonly announcer: Pick<Announcer, 'tell'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug'>;
}

const MINUTE_MS = 60_000;
const REMEMBERED_MAX = 20_000;
const LOOK_MS = 1000;
/** Nodes that one look tells of; more wait for the next. */
const AT_ONCE = 500;

export class PresenceNews {
  readonly name = 'presence';
  readonly #options: PresenceNewsOptions;
  readonly #words = new PresenceWords(REMEMBERED_MAX);
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: PresenceNewsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** The epoch tells one coming or going from another, whichever replica tells of it. */
  tell(node: RoutedNode): void {
    if (!this.#words.take(node, this.#minute())) return;
    const name = node.status === 'online' ? 'node_online' : 'node_offline';
    tellOfNode(this.#options, name, node, node.epoch);
  }

  /** What was held back in a minute that is over, as it is now: another replica may have told of what came after. */
  async tellLate(): Promise<void> {
    const minute = this.#minute();
    const due = this.#words.due(minute, AT_ONCE);
    if (due.length === 0) return;
    try {
      const nodes = await this.#options.nodes.routed(due);
      for (const node of nodes) if (!this.#words.overtaken(node)) this.tell(node);
    } catch (error) {
      this.#words.giveBack(due, minute - 1);
      this.#options.log.debug({ err: asFleetwireError(error) }, 'what nodes do now is told later');
    }
  }

  #minute(): number {
    return Math.floor(nowMs(this.#options.clock) / MINUTE_MS);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await pause(LOOK_MS, signal);
      if (!signal.aborted) await this.tellLate();
    }
  }
}
