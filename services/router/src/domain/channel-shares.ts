/** Members of a channel by the place where they live, kept for as long as nothing has changed about the agents of its org. */

import type { ChannelEntry } from './org-routes.ts';
import type { Place, RouteEntry } from './route-entry.ts';

/** Of all channels of one org that are kept at the same time: below 8 MB with all that hangs on them. */
const MEMBERS_KEPT = 200_000;

/** All members but those that the table does not know, or who are suspended. */
export type Shares = ReadonlyMap<Place, readonly RouteEntry[]>;

interface Kept {
  readonly entry: ChannelEntry;
  readonly shares: Shares;
}

/** Of one org. Gives the same lists again until `forget`, so that what is made of a list serves many messages. */
export class ChannelShares {
  readonly #byAgent: ReadonlyMap<string, RouteEntry>;
  readonly #kept = new Map<string, Kept>();
  #members = 0;

  constructor(byAgent: ReadonlyMap<string, RouteEntry>) {
    this.#byAgent = byAgent;
  }

  of(entry: ChannelEntry): Shares {
    const kept = this.#kept.get(entry.channel);
    if (kept?.entry === entry) return kept.shares;
    const shares = this.#gather(entry);
    if (kept !== undefined) this.#drop(kept);
    this.#kept.set(entry.channel, { entry, shares });
    this.#members += entry.members.length;
    for (const each of this.#kept.values()) {
      if (this.#members <= MEMBERS_KEPT) break;
      this.#drop(each);
    }
    return shares;
  }

  /** Something has changed about an agent. */
  forget(): void {
    if (this.#kept.size === 0) return;
    this.#kept.clear();
    this.#members = 0;
  }

  #drop({ entry }: Kept): void {
    this.#kept.delete(entry.channel);
    this.#members -= entry.members.length;
  }

  #gather({ members }: ChannelEntry): Shares {
    const shares = new Map<Place, RouteEntry[]>();
    for (const id of members) {
      const entry = this.#byAgent.get(id);
      if (entry === undefined || entry.suspended) continue;
      const there = shares.get(entry.place);
      if (there === undefined) shares.set(entry.place, [entry]);
      else there.push(entry);
    }
    return shares;
  }
}
