/** Where a page of history ended: opaque to callers, read back strictly. */

import { FleetwireError } from '@fleetwire/kernel';

/** The last message of a page: the next one begins behind it, newest first. */
export interface PagePosition {
  readonly acceptedAtUs: number;
  readonly id: string;
}

const TEXT = /^(\d{1,16})\.([0-9A-Za-z_-]{1,64})$/;

export function writePageToken(position: PagePosition): string {
  return Buffer.from(`${position.acceptedAtUs}.${position.id}`).toString('base64url');
}

/** Undefined for the empty token, which asks for the first page; throws INVALID_PAGE_TOKEN for what is none. */
export function readPageToken(token: string): PagePosition | undefined {
  if (token === '') return undefined;
  const match = TEXT.exec(Buffer.from(token, 'base64url').toString('latin1'));
  if (match === null || !Number.isSafeInteger(Number(match[1])))
    throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
      help: 'Pass next_page_token of the answer before, unchanged, or leave it empty for the first page.',
    });
  return { acceptedAtUs: Number(match[1]), id: match[2]! };
}
