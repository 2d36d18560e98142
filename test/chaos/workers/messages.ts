/** What a worker is told at its start and asked later, and what it says. */

import type { Plan } from '../plan.ts';

export interface Door {
  readonly address: string;
  readonly token: string;
}

export interface WorkerTask {
  readonly plan: Plan;
  /** Of the nodes, in their order. */
  readonly doors: readonly Door[];
  /** One line for each message: `from to number id` of the senders, `from to number` of the receivers. */
  readonly file: string;
  readonly seed: number;
  /** Of the senders: messages in a second, at most. */
  readonly rate: number;
}

export type ToWorker =
  | { readonly kind: 'task'; readonly task: WorkerTask }
  /** Senders: no more than so many may be accepted by now; 0: no more at all. */
  | { readonly kind: 'upTo'; readonly count: number }
  /** All to the file, connections closed, then the end. */
  | { readonly kind: 'finish' };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'count'; readonly count: number; readonly refused: Readonly<Record<string, number>> };
