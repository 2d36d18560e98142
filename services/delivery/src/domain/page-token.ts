/** Where a page of history ended: opaque to callers, read back strictly, and good for the same question only. */

import { createHash } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import { isKeyText } from './column-text.ts';

const HASH_CHARS = 8;

/** `id`: the next page has ids below it. `question`: all that decides what is listed but the size of a page. */
export function writePageToken(id: string, question: unknown): string {
  return Buffer.from(`${hashOf(question)}${id}`).toString('base64url');
}

/** The id; undefined for the empty token, which asks for the first page; throws INVALID_PAGE_TOKEN for what is none. */
export function readPageToken(token: string, question: unknown): string | undefined {
  if (token === '') return undefined;
  const text = Buffer.from(token, 'base64url').toString('latin1');
  const id = text.slice(HASH_CHARS);
  if (!isKeyText(id)) throw invalid('this is not a page token');
  if (text.slice(0, HASH_CHARS) !== hashOf(question))
    throw invalid('this is a page token of another list: its filters were different');
  return id;
}

function hashOf(question: unknown): string {
  return createHash('sha256').update(JSON.stringify(question)).digest('base64url').slice(0, HASH_CHARS);
}

function invalid(message: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', message, {
    help: 'Pass next_page_token of the answer before, with the same filters, or leave it empty for the first page.',
  });
}
