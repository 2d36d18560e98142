/** Ids of dead letters: when the broker had one, and its place in the stream, so that they sort as the letters came. */

import { FleetwireError, printable } from '@fleetwire/kernel';

/** The key of a letter's row. */
export interface LetterKey {
  /** Microseconds, broker time. */
  readonly storedAtUs: number;
  readonly sequence: number;
}

const ID = /^d([0-9a-z]{1,11})-([0-9a-z]{1,11})$/;

/** For example `d8l2v0c3k7y-1f`. */
export function letterId({ storedAtUs, sequence }: LetterKey): string {
  return `d${storedAtUs.toString(36)}-${sequence.toString(36)}`;
}

/** Undefined for what is no id of a letter. */
export function parseLetterId(id: string): LetterKey | undefined {
  const match = ID.exec(id);
  if (match === null) return undefined;
  const key = { storedAtUs: Number.parseInt(match[1]!, 36), sequence: Number.parseInt(match[2]!, 36) };
  return Number.isSafeInteger(key.storedAtUs) && Number.isSafeInteger(key.sequence) ? key : undefined;
}

/** Throws INVALID_ID. */
export function readLetterId(id: string): LetterKey {
  const key = parseLetterId(id);
  if (key !== undefined) return key;
  throw new FleetwireError('invalid_argument', 'INVALID_ID', `"${printable(id)}" is no id of a dead letter`, {
    help: 'See them with: fleetwire dead list; by the id of a message: fleetwire dead list --message ID',
  });
}

/** Undefined for the empty token; throws INVALID_PAGE_TOKEN for what is none. */
export function readLetterToken(token: string): LetterKey | undefined {
  if (token === '') return undefined;
  const key = parseLetterId(token);
  if (key !== undefined) return key;
  throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
    help: 'Pass next_page_token or continuation of the answer before, unchanged, or leave it empty for the first page.',
  });
}

export function compareLetters(a: LetterKey, b: LetterKey): number {
  return a.storedAtUs - b.storedAtUs || a.sequence - b.sequence;
}
