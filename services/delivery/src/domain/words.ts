/**
 * Words as messages are found by: runs of letters and digits of any language, without regard to case. Whatever else stands
 * between them parts words, so "src/main.ts" is three of them; what is written without blanks is taken sign by sign. Done
 * here, not by PostgreSQL, whose own words hang on the locale of its cluster and take file names for one word each.
 */

/** A longer one (a hash, an encoded file) is known by its beginning. */
const WORD_CHARS_MAX = 64;
/** Of one text: positions in a tsvector end at 16,383 (https://www.postgresql.org/docs/17/textsearch-limitations.html). */
const WORDS_MAX = 16_000;
/** Places that are remembered of one word of a text: a tsvector's own limit is 255. */
const PLACES_MAX = 64;
/** Of a text so many bytes are searched. */
export const TEXT_BYTES_MAX = 32 * 1024;

const UNSPACED =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}';
const SIGN = '[\\p{L}\\p{N}\\p{M}]';
/** A script has signs too that are no letters, such as its own punctuation. */
const WORD = new RegExp(`(?=[${UNSPACED}])${SIGN}\\p{M}*|(?:(?![${UNSPACED}])${SIGN})+`, 'gu');

/** In their order. */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const [word] of text.normalize('NFKC').toLowerCase().matchAll(WORD)) {
    words.push(word.length > WORD_CHARS_MAX ? cut(word) : word);
    if (words.length === WORDS_MAX) break;
  }
  return words;
}

/** Not between the halves of a sign. */
function cut(word: string): string {
  return word
    .slice(0, WORD_CHARS_MAX)
    .toWellFormed()
    .replace(/\ufffd$/, '');
}

/** A word that no text has: by it the index of words leads to one org's messages only. */
export function orgWord(org: string): string {
  return `@${org}`;
}

/** The text of a body as far as it is searched; undefined: it is none. */
export function searchedText(body: Uint8Array): string | undefined {
  let end = Math.min(body.length, TEXT_BYTES_MAX);
  // Back to where a sign begins.
  if (end < body.length) while (end > 0 && (body[end]! & 0xc0) === 0x80) end--;
  try {
    const text = UTF8.decode(body.subarray(0, end));
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * A tsvector as PostgreSQL reads it in binary: the number of words, then each with a NUL behind it, the number of its places
 * and these (`tsvectorrecv` in src/backend/utils/adt/tsvector.c). It sorts them itself.
 */
export function encodeWords(org: string, text: string): Buffer {
  const places = new Map<string, number[]>([[orgWord(org), []]]);
  let place = 0;
  for (const word of wordsOf(text)) {
    place++;
    const known = places.get(word);
    if (known === undefined) places.set(word, [place]);
    else if (known.length < PLACES_MAX) known.push(place);
  }
  let size = 4;
  for (const [word, at] of places) size += Buffer.byteLength(word) + 3 + at.length * 2;
  const out = Buffer.allocUnsafe(size);
  let end = out.writeUInt32BE(places.size, 0);
  for (const [word, at] of places) {
    end += out.write(word, end);
    end = out.writeUInt8(0, end);
    end = out.writeUInt16BE(at.length, end);
    for (const each of at) end = out.writeUInt16BE(each, end);
  }
  return out;
}
