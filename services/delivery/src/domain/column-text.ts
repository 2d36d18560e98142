/** Text as a PostgreSQL column and its indexes can hold it. */

/** An indexed value beyond this is cut, in what is stored and in what is searched for alike. */
export const COLUMN_CHARS_MAX = 200;

/**
 * At most COLUMN_CHARS_MAX characters without NUL, which PostgreSQL refuses in text. What is cut or replaced here
 * stays whole in the encoded message next to it.
 */
export function columnText(text: string): string {
  const cut = text.length > COLUMN_CHARS_MAX ? text.slice(0, COLUMN_CHARS_MAX) : text;
  return cut.includes('\0') ? cut.replaceAll('\0', '\ufffd') : cut;
}

const KEY = /^[0-9A-Za-z_-]{1,64}$/;

/** True for what may be part of a key: ids of messages, agents and nodes. */
export function isKeyText(text: string): boolean {
  return KEY.test(text);
}
