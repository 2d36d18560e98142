/** Says in which fields the broker's configuration differs from what we expect. */

export interface Difference {
  readonly field: string;
  readonly wanted: string;
  readonly found: string;
}

/** Fields of `wanted` only; what the server leaves out counts as false, 0 or ''. */
export function differences(
  wanted: Readonly<Record<string, unknown>>,
  found: Readonly<Record<string, unknown>>,
): Difference[] {
  const list: Difference[] = [];
  for (const [field, value] of Object.entries(wanted)) {
    const other = found[field] ?? absent(value);
    if (shown(value) !== shown(other)) list.push({ field, wanted: shown(value), found: shown(other) });
  }
  return list;
}

/** For people, one line. */
export function report(what: string, list: readonly Difference[]): string {
  return `${what}: ${list.map((d) => `${d.field} should be ${d.wanted}, is ${d.found}`).join('; ')}`;
}

function absent(like: unknown): unknown {
  if (typeof like === 'boolean') return false;
  if (typeof like === 'number') return 0;
  return Array.isArray(like) ? [] : '';
}

function shown(value: unknown): string {
  return JSON.stringify(
    Array.isArray(value) ? value.map(String).toSorted((a, b) => (a < b ? -1 : 1)) : value,
  );
}
