/** Patterns of names, compiled: `*` stands for any characters, also none, and `?` for one. */

/** A text as the matcher reads it: a string, or code points where a character takes two places in a string. */
export interface Characters {
  readonly length: number;
  charCodeAt(at: number): number;
}

const ANY_ONE = -1;
const SURROGATE = /[\ud800-\udfff]/;

/** Immutable. Matches whole texts; case counts, so whoever compares names folds both beforehand. */
export class GlobPattern {
  /** Set when nothing in it is special. */
  readonly #exact: string | undefined;
  /** What is between the stars; the first one begins the text, the last one ends it. */
  readonly #pieces: readonly (readonly number[])[];
  /** Places in a string and characters may differ. */
  readonly #wide: boolean;

  constructor(source: string) {
    this.#exact = /[*?]/.test(source) ? undefined : source;
    this.#wide = source.includes('?') || SURROGATE.test(source);
    const pieces = source.split('*').map((piece) => codePoints(piece, true));
    // Stars in a row say what one says.
    this.#pieces = pieces.filter((piece, i) => piece.length > 0 || i === 0 || i === pieces.length - 1);
  }

  matches(text: string): boolean {
    if (this.#exact !== undefined) return text === this.#exact;
    return this.fits(this.#wide && SURROGATE.test(text) ? new CodePoints(text) : text);
  }

  /**
   * Every piece is put as far to the front as it fits, which is never worse than a later place: nothing is tried
   * twice. So at most (length of the text + 1) * (length of the pattern) characters are read, whatever the pattern.
   */
  fits(text: Characters): boolean {
    const pieces = this.#pieces;
    const first = pieces[0]!;
    const last = pieces[pieces.length - 1]!;
    if (pieces.length === 1) return text.length === first.length && fitsAt(first, text, 0);
    const end = text.length - last.length;
    if (end < first.length || !fitsAt(first, text, 0) || !fitsAt(last, text, end)) return false;
    let at = first.length;
    for (let i = 1; i < pieces.length - 1; i++) {
      const piece = pieces[i]!;
      while (at + piece.length <= end && !fitsAt(piece, text, at)) at++;
      at += piece.length;
      if (at > end) return false;
    }
    return true;
  }
}

/** The caller has seen to it that the piece is not longer than what is left. */
function fitsAt(piece: readonly number[], text: Characters, at: number): boolean {
  for (let i = 0; i < piece.length; i++) {
    if (piece[i] !== ANY_ONE && piece[i] !== text.charCodeAt(at + i)) return false;
  }
  return true;
}

function codePoints(text: string, special: boolean): number[] {
  return Array.from(text, (c) => (special && c === '?' ? ANY_ONE : c.codePointAt(0)!));
}

/** A text of which `?` takes whole characters. */
class CodePoints implements Characters {
  readonly #points: readonly number[];
  readonly length: number;

  constructor(text: string) {
    this.#points = codePoints(text, false);
    this.length = this.#points.length;
  }

  charCodeAt(at: number): number {
    return this.#points[at]!;
  }
}
