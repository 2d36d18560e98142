/** Maps and sets that forget the oldest, so that whatever is put into them they stay bounded. */

interface Ordered<K> {
  readonly size: number;
  keys(): Iterable<K>;
  delete(key: K): boolean;
}

/** Takes out what was put in first, until there are `max` at most. */
export function keepNewest<K>(of: Ordered<K>, max: number): void {
  if (of.size <= max) return;
  for (const key of of.keys()) {
    of.delete(key);
    if (of.size <= max) return;
  }
}
