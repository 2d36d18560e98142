/** Table `letters`: dead letters of this node, until the broker has them. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface LetterRow {
  readonly seq: number;
  /** Id of the agent that the message was for. */
  readonly agent: string;
  /** One encoded DeadLetter. */
  readonly letter: Uint8Array;
}

export class LetterTable {
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #delete: StatementSync;
  #bytes: number;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO letters (agent, letter) VALUES (?, ?)');
    this.#next = db.prepare('SELECT seq, agent, letter FROM letters WHERE seq > ? ORDER BY seq LIMIT 1');
    this.#delete = db.prepare('DELETE FROM letters WHERE seq = ?');
    const sum = db.prepare('SELECT coalesce(sum(length(letter)), 0) AS bytes FROM letters').get();
    this.#bytes = (sum as { bytes: number }).bytes;
  }

  /** Of all that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  insert(agent: string, letter: Uint8Array): void {
    this.#insert.run(agent, letter);
    this.#bytes += letter.length;
  }

  /** The oldest beyond `after`; undefined when none waits. */
  next(after: number): LetterRow | undefined {
    return this.#next.get(after) as unknown as LetterRow | undefined;
  }

  delete({ seq, letter }: LetterRow): void {
    if (Number(this.#delete.run(seq).changes) > 0) this.#bytes -= letter.length;
  }
}
