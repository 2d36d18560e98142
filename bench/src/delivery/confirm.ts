/** How soon a message to a program in a terminal is confirmed, from the moment that the program has drawn it. */

import { runScript } from './script.ts';

interface Waits {
  readonly median_ms: number;
  readonly p95_ms: number;
  readonly max_ms: number;
}

export interface ConfirmFigures {
  readonly messages: number;
  /** From the program's drawing of the text as taken up, by its own clock, to the receipt. */
  readonly confirm: Waits;
  /** From the acceptance to the receipt. */
  readonly whole: Waits;
  /** One bare look at the pane: the raw limit. */
  readonly look: Waits;
}

export const measureConfirm = (messages: number): Promise<ConfirmFigures> =>
  runScript('services/node/test/measure-confirm.ts', [messages]);
