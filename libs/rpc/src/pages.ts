/** Pages of a list that is ordered by one key: a token is the key of the last row of the page before. */

import { FleetwireError } from '@fleetwire/kernel';

export const PAGE_SIZES = { initial: 100, max: 1000 } as const;
const KEY_CHARS = 512;

export interface Page {
  readonly size: number;
  /** Key after which the page begins; empty: the first page. */
  readonly after: string;
}

/** Throws INVALID_PAGE_TOKEN for a token that cannot be ours, which `isKey` tells. */
export function readPage(
  request: { readonly pageSize: number; readonly pageToken: string },
  isKey: (key: string) => boolean = () => true,
): Page {
  const size = request.pageSize === 0 ? PAGE_SIZES.initial : Math.min(request.pageSize, PAGE_SIZES.max);
  if (request.pageToken === '') return { size, after: '' };
  const after = Buffer.from(request.pageToken, 'base64url').toString('utf8');
  const ours = after !== '' && after.length <= KEY_CHARS && !/[\0\ufffd]/.test(after) && isKey(after);
  if (ours) return { size, after };
  throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
    help: 'Send next_page_token of the page before, or nothing for the first page.',
  });
}

/** Of `size` + 1 rows read, those to show, and the token of the next page (empty: there is none). */
export function cutPage<T>(
  rows: readonly T[],
  size: number,
  keyOf: (row: T) => string,
): { readonly shown: readonly T[]; readonly nextPageToken: string } {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  const more = rows.length > size && last !== undefined;
  return { shown, nextPageToken: more ? Buffer.from(keyOf(last), 'utf8').toString('base64url') : '' };
}
