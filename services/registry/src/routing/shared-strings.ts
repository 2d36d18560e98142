/** One copy of texts that come again and again. */

const MAX = 50_000;
const known = new Map<string, string>();

/** The same text; of equal ones, as far as they are remembered, the same copy. */
export function shared(text: string): string {
  const copy = known.get(text);
  if (copy !== undefined) return copy;
  if (known.size >= MAX) known.clear();
  known.set(text, text);
  return text;
}
