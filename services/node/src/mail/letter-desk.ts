/** Writes dead letters of this node, in the turn in which their messages end, for the broker to have them. */

import { completeReceipt } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, type Receipt } from '@fleetwire/gen/message';
import type { LetterTable } from '../store/letter-table.ts';
import type { Turns } from '../store/turns.ts';

export interface LetterDeskParts {
  /** This node's id. */
  readonly node: string;
  readonly table: LetterTable;
  readonly turns: Turns;
  /** Bytes that may wait for the broker. */
  readonly bytesMax: number;
  /** There is a letter for the broker. */
  publish(): void;
}

export class LetterDesk {
  readonly #parts: LetterDeskParts;

  constructor(parts: LetterDeskParts) {
    this.#parts = parts;
  }

  /** False while too much waits: then nothing more is to end so. */
  get hasRoom(): boolean {
    return this.#parts.table.bytes < this.#parts.bytesMax;
  }

  /** Inside a turn. `receipt` says how the message ended; `envelope` is its encoded one. */
  add(envelope: Uint8Array, receipt: Receipt): void {
    const { node, table, turns, publish } = this.#parts;
    const { hops } = completeReceipt(structuredClone(receipt), node);
    const { reason, detail, recipient } = receipt;
    const letter = { envelope, decoded: true, reason, detail, hops };
    table.insert(recipient, encode(DeadLetter, DeadLetter.fromPartial(letter)));
    turns.after(publish);
  }
}
