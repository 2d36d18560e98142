/** Events that nodes came or went: at most once a minute for each, and the last word is right when the minute is over. */

import { type Clock, nowMs } from '@fleetwire/kernel';
import { PresenceWords } from '../domain/presence.ts';
import type { NodeRows, RoutedNode } from '../store/nodes.ts';
import type { Announcer } from './announcer.ts';
import { tellOfNode } from './node-news.ts';

export interface PresenceNewsOptions {
  readonly nodes: Pick<NodeRows, 'routed'>;
  readonly announcer: Pick<Announcer, 'tell'>;
  readonly clock: Clock;
}

const MINUTE_MS = 60_000;
const REMEMBERED_MAX = 20_000;
/** Nodes that one look tells of; more wait for the next. */
const AT_ONCE = 500;

export class PresenceNews {
  readonly #options: PresenceNewsOptions;
  readonly #words = new PresenceWords(REMEMBERED_MAX);

  constructor(options: PresenceNewsOptions) {
    this.#options = options;
  }

  /** The epoch tells one coming or going from another, whichever replica tells of it. */
  tell(node: RoutedNode): void {
    if (!this.#words.take(node, this.#minute())) return;
    const name = node.status === 'online' ? 'node_online' : 'node_offline';
    tellOfNode(this.#options, name, node, node.epoch);
  }

  /**
   * What was held back in a minute that is over, as it is now: another replica may have told of what came after. Rejects while
   * PostgreSQL is away; then it is told later.
   */
  async tellLate(): Promise<void> {
    const minute = this.#minute();
    const due = this.#words.due(minute, AT_ONCE);
    if (due.length === 0) return;
    try {
      const nodes = await this.#options.nodes.routed(due);
      for (const node of nodes) if (!this.#words.overtaken(node)) this.tell(node);
    } catch (error) {
      this.#words.giveBack(due, minute - 1);
      throw error;
    }
  }

  #minute(): number {
    return Math.floor(nowMs(this.#options.clock) / MINUTE_MS);
  }
}
