/**
 * Which lane mail for an agent goes to, so that from one sender to one recipient first in is first out, though mail to one
 * agent and mail to many have subjects of their own.
 *
 * Rule: what is pending for an agent is at any time in one lane, its own or that of `_many` of its node. Within a lane order
 * is kept, and a lane is left for the other only once it holds nothing of the agent: all that was in it is stored by then.
 */

import { MANY } from '@fleetwire/contract';
import type { Effect } from './judge.ts';
import type { Place, RouteEntry } from './routing-table.ts';

/** The lanes of a flow, by subject. */
export interface HeldLanes {
  holds(lane: string): boolean;
  readonly size: number;
  readonly names: Iterable<string>;
}

/** Recipients of one message on one node, by the lane that each has to go by. */
export interface Split {
  /** Together, by `place.many`. */
  readonly together: readonly RouteEntry[];
  /** Each by its own lane. */
  readonly apart: readonly RouteEntry[];
}

const NOBODY: readonly RouteEntry[] = [];

export class LaneChoice {
  readonly #lanes: HeldLanes;
  /** Lanes of `_many` that may hold anything: without any, which is the rule, mail to one agent costs no look. */
  readonly #many = new Set<string>();

  constructor(lanes: HeldLanes) {
    this.#lanes = lanes;
  }

  /** For a message to this agent alone. */
  direct(route: RouteEntry): string {
    const own = route.subject;
    if (this.#many.size === 0) return own;
    const { many } = route.place;
    return this.#many.has(many) && !this.#lanes.holds(own) ? many : own;
  }

  /** For a message to several agents of one place; whoever has mail in its own lane gets it behind that. */
  split({ many, prefix }: Place, recipients: readonly RouteEntry[]): Split {
    const busy = this.#mayBeBusy(prefix, many, recipients.length)
      ? recipients.filter((each) => this.#lanes.holds(each.subject))
      : NOBODY;
    const apart = new Set(busy);
    const together = busy.length === 0 ? recipients : recipients.filter((each) => !apart.has(each));
    if (together.length > 0) this.#many.add(many);
    return { together, apart: busy.length === 0 ? NOBODY : busy };
  }

  /** Bytes of what `split` would now store apart, in all of these; 0 where it cannot be more than `unless`. */
  copies(effects: readonly Effect[], unless: number): number {
    let bytes = 0;
    for (const effect of effects) {
      if (effect.kind !== 'mail' || effect.item.recipients === undefined) continue;
      bytes += effect.item.recipients.length * effect.item.envelope.length;
    }
    if (bytes <= unless) return 0;
    bytes = 0;
    for (const effect of effects) {
      if (effect.kind !== 'mail') continue;
      for (const each of effect.item.recipients ?? NOBODY)
        if (this.#lanes.holds(each.subject)) bytes += effect.item.envelope.length;
    }
    return bytes;
  }

  /** False: nobody of this place has mail in its own lane. Where lanes are few, they are looked at instead of all recipients. */
  #mayBeBusy(prefix: string, many: string, recipients: number): boolean {
    if (this.#lanes.size >= recipients) return true;
    for (const name of this.#lanes.names) if (name !== many && name.startsWith(prefix)) return true;
    return false;
  }

  /** Something of this lane is settled. */
  settled(lane: string): void {
    if (this.#many.size > 0 && !this.#lanes.holds(lane)) this.#many.delete(lane);
  }

  /** True while anything for this agent may be pending; `subject` is its own. */
  holds(subject: string): boolean {
    if (this.#lanes.holds(subject)) return true;
    return this.#many.size > 0 && this.#lanes.holds(manyBeside(subject));
  }
}

/** Of the node on which the agent of this inbox subject lives. */
function manyBeside(subject: string): string {
  return subject.slice(0, subject.lastIndexOf('.') + 1) + MANY;
}
