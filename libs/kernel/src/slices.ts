/** Long lists in bounded steps. */

/** The items in order, `size` at a time. */
export function* slices<T>(items: readonly T[], size: number): Generator<readonly T[], void> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}
