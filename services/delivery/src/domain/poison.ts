/** Tells a row that PostgreSQL can never take from a database that cannot take anything just now. */

import { FleetwireError } from '@fleetwire/kernel';

/**
 * Classes of SQLSTATE that are the fault of a value: data exception, integrity constraint, program limit exceeded
 * (https://www.postgresql.org/docs/17/errcodes-appendix.html). Everything else may pass: a missing table or a full
 * disk must never turn good rows into dead letters.
 */
const VALUE_CLASSES: ReadonlySet<string> = new Set(['22', '23', '54']);
/** Causes looked through. */
const DEPTH_MAX = 8;

/** True when trying the same rows again cannot work, whatever else happens. */
export function isPoison(thrown: unknown): boolean {
  let current: unknown = thrown;
  for (let depth = 0; depth < DEPTH_MAX && current instanceof Error; depth++) {
    if (current instanceof RangeError) return true; // a number that its column cannot hold
    const { code } = current as { readonly code?: unknown };
    if (typeof code === 'string' && code.length === 5 && VALUE_CLASSES.has(code.slice(0, 2))) return true;
    current = current.cause;
  }
  return false;
}

/** True where the database has no part in it: what was read makes no sense, and never will. */
export function isUnreadable(thrown: unknown): boolean {
  return isPoison(thrown) || !(thrown instanceof FleetwireError || hasCode(thrown));
}

/** Of the database, its driver, or the system below them. */
function hasCode(thrown: unknown): boolean {
  let current: unknown = thrown;
  for (let depth = 0; depth < DEPTH_MAX && current instanceof Error; depth++) {
    const { code } = current as { readonly code?: unknown };
    // Node.js names its own so, also where they are about a value.
    if (typeof code === 'string' && !code.startsWith('ERR_')) return true;
    current = current.cause;
  }
  return false;
}
