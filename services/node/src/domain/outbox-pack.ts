/** What goes to ingress in one publish, and what can be forgotten afterwards. */

import type { WaitingRow } from './outbox-row.ts';

/** Envelopes that go to ingress together, in this order. */
export interface OutboxPack {
  readonly rows: readonly WaitingRow[];
  /** The same for the same messages in the same order, and for no others: for the broker's dedupe id. */
  readonly id: string;
}

/** Sequences from the first to the last, both included. */
export interface SeqRun {
  readonly first: number;
  readonly last: number;
}

/** With all ids: what lies between the first and the last may be held back, or be something else after a power cut. */
export function packOf(rows: readonly WaitingRow[]): OutboxPack {
  let id = '';
  for (const row of rows) id += row.id;
  return { rows, id };
}

/** The sequences of `rows`, and of no other row, in as few runs as there are. */
export function seqRuns(rows: readonly { readonly seq: number }[]): SeqRun[] {
  if (isOneRun(rows)) return [{ first: rows[0]!.seq, last: rows.at(-1)!.seq }];
  const seqs = rows.map(({ seq }) => seq).sort((a, b) => a - b);
  const runs: { first: number; last: number }[] = [];
  for (const seq of seqs) {
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1 === seq) run.last = seq;
    else runs.push({ first: seq, last: seq });
  }
  return runs;
}

/** As nearly always. */
function isOneRun(rows: readonly { readonly seq: number }[]): boolean {
  for (let i = 1; i < rows.length; i++) if (rows[i]!.seq !== rows[i - 1]!.seq + 1) return false;
  return rows.length > 0;
}
