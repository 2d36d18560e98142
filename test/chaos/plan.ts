/** Who writes to whom: a pure function of the seed. */

import type { Random } from '@fleetwire/testkit';

export interface PlannedAgent {
  readonly name: string;
  /** Which node it lives on, from 0. */
  readonly node: number;
}

export interface PlannedSender extends PlannedAgent {
  /** Names of those it writes to, all on other nodes: what stays on a node passes no router. */
  readonly to: readonly string[];
}

export interface Plan {
  readonly senders: readonly PlannedSender[];
  readonly recipients: readonly PlannedAgent[];
}

export interface PlanOptions {
  readonly nodes: number;
  readonly senders: number;
  readonly recipients: number;
  /** Recipients of one sender. */
  readonly fanOut: number;
}

export function planOf(random: Random, o: PlanOptions): Plan {
  const agents = (letter: string, count: number): PlannedAgent[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `${letter}${String(i).padStart(3, '0')}`,
      node: i % o.nodes,
    }));
  const recipients = agents('r', o.recipients);
  const senders = agents('s', o.senders).map((sender) => {
    const strangers = recipients.filter(({ node }) => node !== sender.node);
    const to: string[] = [];
    for (let i = 0; i < o.fanOut && strangers.length > 0; i++)
      to.push(strangers.splice(random(strangers.length), 1)[0]!.name);
    return { ...sender, to };
  });
  return { senders, recipients };
}
