/** Names of agents, nodes, channels and groups, and what to suggest for a mistyped one. */

import { FleetwireError } from './errors.ts';

const NAME = /^[a-zA-Z0-9-]{1,50}$/;

/** 1 to 50 letters, digits and hyphens; compared without regard to case. */
export function isName(value: string): boolean {
  return NAME.test(value);
}

/** What a machine is called where nobody says: its host name up to the first dot, in the characters of names. */
export function nameOfHost(host: string): string {
  const plain = host.split('.')[0]!.replace(/[^a-zA-Z0-9-]/g, '-');
  return plain.slice(0, 50) || 'node';
}

/** The form in which names are compared and kept unique. */
export function foldName(name: string): string {
  return name.toLowerCase();
}

/** Throws `INVALID_NAME` when `value` is none. */
export function checkName(value: string, what: 'agent' | 'node' | 'channel' | 'group'): void {
  if (isName(value)) return;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_NAME',
    `"${printable(value)}" is not a valid ${what} name`,
    {
      help: 'Use 1 to 50 letters, digits and hyphens.',
      details: { what },
    },
  );
}

const CAPABILITY = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;

/** What an agent can do: 1 to 64 letters, digits, dots, underscores and hyphens; compared as foldName gives it. */
export function isCapability(value: string): boolean {
  return CAPABILITY.test(value);
}

/** Up to `limit` of `names` that are a typing error or two away from `wanted`, nearest first. */
export function nearestNames(wanted: string, names: Iterable<string>, limit = 3): string[] {
  const folded = foldName(wanted);
  const allowed = Math.max(1, Math.floor(folded.length / 3));
  const found: { name: string; distance: number }[] = [];
  for (const name of names) {
    if (Math.abs(name.length - folded.length) > allowed) continue;
    const distance = editDistance(folded, foldName(name));
    if (distance <= allowed) found.push({ name, distance });
  }
  found.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return found.slice(0, limit).map((f) => f.name);
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** Input as it may be shown in a terminal: control characters made visible, at most 60 characters. */
export function printable(text: string): string {
  const shown = text.replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
  return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
}
