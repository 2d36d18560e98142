/** Pages of a list ordered by name: a token is the last name of the page before. */

import { FleetwireError, isName } from '@fleetwire/kernel';

const SIZE_DEFAULT = 100;
const SIZE_MAX = 1000;

export interface Page {
  readonly size: number;
  /** Folded name after which the page begins; empty: the first page. */
  readonly after: string;
}

/** Throws INVALID_PAGE_TOKEN for a token that was not ours. */
export function readPage(request: { readonly pageSize: number; readonly pageToken: string }): Page {
  const size = request.pageSize === 0 ? SIZE_DEFAULT : Math.min(request.pageSize, SIZE_MAX);
  if (request.pageToken === '') return { size, after: '' };
  const after = Buffer.from(request.pageToken, 'base64url').toString('utf8');
  if (isName(after)) return { size, after };
  throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
    help: 'Send next_page_token of the page before, or nothing for the first page.',
  });
}

/** Of `size` + 1 rows read, those to show, and the token of the next page (empty: there is none). */
export function cutPage<T extends { readonly folded: string }>(
  rows: readonly T[],
  size: number,
): { readonly shown: readonly T[]; readonly nextPageToken: string } {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  const more = rows.length > size && last !== undefined;
  return { shown, nextPageToken: more ? Buffer.from(last.folded, 'utf8').toString('base64url') : '' };
}
