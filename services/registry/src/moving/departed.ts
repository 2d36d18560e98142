/** Which agents have left which node, for its heartbeats: in memory, so that a heartbeat costs no query. */

import type { Moving } from '@fleetwire/gen/message';
import type { MoveRows } from '../store/moves.ts';

export class Departed {
  readonly #moves: Pick<MoveRows, 'leaving'>;
  #byNode = new Map<string, Moving[]>();

  constructor(moves: Pick<MoveRows, 'leaving'>) {
    this.#moves = moves;
  }

  /** As of the last refresh. */
  of(node: string): Moving[] {
    return this.#byNode.get(node) ?? [];
  }

  /** As of now, for HELLO: a node that was away must know before it takes mail up again. */
  async read(node: string): Promise<Moving[]> {
    return (await this.#moves.leaving(node)).map(({ agent, epoch }) => ({ agent, epoch }));
  }

  async refresh(): Promise<void> {
    const byNode = new Map<string, Moving[]>();
    for (const { node, agent, epoch } of await this.#moves.leaving()) {
      const list = byNode.get(node) ?? [];
      list.push({ agent, epoch });
      byNode.set(node, list);
    }
    this.#byNode = byNode;
  }
}
