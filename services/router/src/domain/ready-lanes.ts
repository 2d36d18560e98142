/** The lanes that are ready to publish, and whose turn it is: orgs by turns, in each the higher levels more often. */

import { Deque, type PriorityLevel, PriorityTurns } from '@fleetwire/kernel';

/** Orgs without any lane that are kept, so that an idle fabric does not make them anew with each message. */
const ORGS_KEPT = 256;

/** A link of the line that the lane stands in. */
export interface Standing<L extends Standing<L>> {
  readonly turn: OrgTurn<L>;
  /** The highest level of what waits in it. */
  top: number;
  before: L | undefined;
  behind: L | undefined;
}

interface Line<L> {
  first: L | undefined;
  last: L | undefined;
}

/** What of one org is ready. */
export class OrgTurn<L extends Standing<L>> {
  readonly org: string;
  /** Those that are there, ready or not. */
  lanes = 0;
  readonly #lines: readonly Line<L>[] = [0, 1, 2, 3].map(() => ({ first: undefined, last: undefined }));
  readonly #turns = new PriorityTurns();
  #present = 0;

  constructor(org: string) {
    this.org = org;
  }

  get empty(): boolean {
    return this.#present === 0;
  }

  /** At the end of the line of its level. */
  add(lane: L): void {
    const line = this.#lines[lane.top]!;
    lane.before = line.last;
    lane.behind = undefined;
    if (line.last === undefined) line.first = lane;
    else line.last.behind = lane;
    line.last = lane;
    this.#present |= 1 << lane.top;
  }

  remove(lane: L): void {
    const line = this.#lines[lane.top]!;
    if (lane.before === undefined) line.first = lane.behind;
    else lane.before.behind = lane.behind;
    if (lane.behind === undefined) line.last = lane.before;
    else lane.behind.before = lane.before;
    lane.before = undefined;
    lane.behind = undefined;
    if (line.first === undefined) this.#present &= ~(1 << lane.top);
  }

  take(): L {
    const level = this.#turns.next(this.#present);
    this.#turns.took(level, this.#present);
    const lane = this.#lines[level]!.first!;
    this.remove(lane);
    return lane;
  }
}

/**
 * Guarantees: with n orgs ready, each has every n-th turn, however many lanes the others have. Within an org, the lane that
 * has been ready longest on its level is next on it; a level has at least every PRIORITY_TURNS-th turn of the org.
 */
export class ReadyLanes<L extends Standing<L>> {
  readonly #orgs = new Map<string, OrgTurn<L>>();
  readonly #ring = new Deque<OrgTurn<L>>();

  /** Where a lane of this org will stand, until `leave`. */
  enter(org: string): OrgTurn<L> {
    let turn = this.#orgs.get(org);
    if (turn === undefined) {
      turn = new OrgTurn(org);
      this.#orgs.set(org, turn);
    }
    turn.lanes++;
    return turn;
  }

  /** A lane is gone. */
  leave(turn: OrgTurn<L>): void {
    if (--turn.lanes === 0 && this.#orgs.size > ORGS_KEPT) this.#orgs.delete(turn.org);
  }

  add(lane: L): void {
    const turn = lane.turn;
    if (turn.empty) this.#ring.push(turn);
    turn.add(lane);
  }

  /** A lane that is ready has got something of a higher level. */
  raise(lane: L, top: PriorityLevel): void {
    const turn = lane.turn;
    turn.remove(lane);
    lane.top = top;
    turn.add(lane);
  }

  /** Takes out the next one. */
  take(): L | undefined {
    const turn = this.#ring.shift();
    if (turn === undefined) return undefined;
    const lane = turn.take();
    if (!turn.empty) this.#ring.push(turn);
    return lane;
  }
}
