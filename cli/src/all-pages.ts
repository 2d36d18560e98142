/** Lists that come in pages, as one. */

const PAGE = 1000;

interface Paged {
  readonly nextPageToken: string;
}

/** All pages of a list, each as it came. */
export async function* pages<P extends Paged>(
  read: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<P>,
  pageSize: number = PAGE,
): AsyncGenerator<P, void> {
  let pageToken = '';
  do {
    const page = await read({ pageSize, pageToken });
    yield page;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
}

/** The rows of all pages, or the first `limit` of them; no more are asked for. */
export async function allRows<P extends Paged, R>(
  read: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<P>,
  rowsOf: (page: P) => readonly R[],
  limit = Number.POSITIVE_INFINITY,
): Promise<R[]> {
  const rows: R[] = [];
  for await (const page of pages(read, Math.min(limit, PAGE))) {
    rows.push(...rowsOf(page));
    if (rows.length >= limit) return rows.slice(0, limit);
  }
  return rows;
}
