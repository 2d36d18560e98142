/** Why an address leads nowhere. */

import type { RouteEntry } from './routing-table.ts';

export interface Refusal {
  readonly kind: 'dead';
  readonly reason: string;
  readonly detail: string;
  /** The agent that was meant, where there is one. */
  readonly route?: RouteEntry;
}

export function refusal(reason: string, detail: string): Refusal {
  return { kind: 'dead', reason, detail };
}
