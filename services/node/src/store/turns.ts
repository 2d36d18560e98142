/** Group commit: what gathers within one turn of the event loop becomes one transaction; effects follow the commit. */

import type { DatabaseSync } from 'node:sqlite';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';

export interface TurnHooks {
  /** Runs inside each transaction, after the work: what follows from it for other parts of the node. */
  beforeCommit(): void;
  /** After a roll-back: memory must be made anew from the disk. */
  rolledBack(error: FleetwireError): void;
}

/** How long work that is in no hurry waits for a transaction that is made anyway. */
const LATER_MS = 20;

interface Unit {
  readonly work: () => void;
  readonly settled: ((error: FleetwireError | undefined) => void) | undefined;
}

/**
 * Work changes memory and disk together, inside the transaction. What others can see (answers, acknowledgements to the
 * broker, deliveries) goes through `after`, so that nothing is ever said that the disk does not know.
 */
export class Turns {
  readonly #db: DatabaseSync;
  readonly #hooks: TurnHooks;
  #units: Unit[] = [];
  #later: Unit[] = [];
  #timer: NodeJS.Timeout | undefined;
  #effects: (() => void)[] = [];
  #scheduled = false;
  #closed = false;
  #commits = 0;

  constructor(db: DatabaseSync, hooks: TurnHooks) {
    this.#db = db;
    this.#hooks = hooks;
  }

  /** Transactions so far. */
  get commits(): number {
    return this.#commits;
  }

  /** `settled` is called once, after the commit or with what prevented it. */
  add(work: () => void, settled?: (error: FleetwireError | undefined) => void): void {
    if (this.#closed) {
      settled?.(closing());
      return;
    }
    this.#units.push({ work, settled });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  /** As `add`, for what nobody waits for: it goes with the next transaction, or has its own after LATER_MS. */
  addLater(work: () => void): void {
    if (this.#closed) return;
    this.#later.push({ work, settled: undefined });
    this.#timer ??= setTimeout(() => this.flush(), LATER_MS);
  }

  /** As `add`, for callers that wait anyway. */
  run<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      this.add(
        () => {
          result = work();
        },
        (error) => (error === undefined ? resolve(result) : reject(error)),
      );
    });
  }

  /** Only inside work or `beforeCommit`. */
  after(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** Commits what is waiting now. */
  flush(): void {
    this.#scheduled = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const units = [...this.#units, ...this.#later];
    if (units.length === 0) return;
    this.#units = [];
    this.#later = [];
    const error = this.#commit(units);
    const effects = this.#effects;
    this.#effects = [];
    if (error !== undefined) this.#hooks.rolledBack(error);
    else for (const effect of effects) effect();
    for (const unit of units) unit.settled?.(error);
  }

  /** Commits what is waiting and takes nothing more. */
  close(): void {
    this.flush();
    this.#closed = true;
  }

  #commit(units: readonly Unit[]): FleetwireError | undefined {
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const unit of units) unit.work();
      this.#hooks.beforeCommit();
      this.#db.exec('COMMIT');
      this.#commits++;
      return undefined;
    } catch (thrown) {
      this.#effects = [];
      if (this.#db.isOpen && this.#db.isTransaction) this.#db.exec('ROLLBACK');
      const cause = asFleetwireError(thrown);
      return new FleetwireError('unavailable', 'NODE_STORE_FAILED', "the node's disk refused", { cause });
    }
  }
}

export function closing(): FleetwireError {
  return new FleetwireError('unavailable', 'NODE_CLOSING', 'this node is shutting down');
}
