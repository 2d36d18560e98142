/** Text that may go to a terminal or into a receipt: nothing in it acts. */

/** Control characters and changes of writing direction made visible; only plain line breaks stay. */
export function harmless(text: string): string {
  return text
    .replace(/\r\n?|\u2028|\u2029/g, '\n')
    .replaceAll('\t', '    ')
    .replace(/(?!\n)[\p{Cc}\p{Bidi_Control}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}

/** A line of a program as evidence: one line, at most 200 characters. */
export function evidenceOf(line: string): string {
  const flat = harmless(line).replaceAll('\n', ' ').trim();
  return flat.length > 200 ? `${flat.slice(0, 197)}...` : flat;
}
