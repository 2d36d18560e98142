/** Content negotiation between the two kinds of clients: people with a browser, and programs (RFC 9110, 12.5.1). */

const TYPES = { html: 'text/html', json: 'application/json' } as const;
type Type = keyof typeof TYPES;

/** May the answer be of this type, and would the client like the other one no better? No header: anything will do. */
function accepts(header: string, type: Type): boolean {
  const other = type === 'html' ? 'json' : 'html';
  const own = quality(header, TYPES[type]);
  return own > 0 && own >= quality(header, TYPES[other]);
}

/** `pages`: the route has pages, so that who has no preference gets one, unless it sent JSON. */
export function wantsPage(accept: string, contentType: string, pages: boolean): boolean {
  const html = accepts(accept, 'html');
  const json = accepts(accept, 'json');
  if (html !== json) return html;
  return pages && mediaType(contentType) !== TYPES.json;
}

/** `text/html; charset=utf-8` -> `text/html`. */
export function mediaType(contentType: string): string {
  return contentType.split(';', 1)[0]!.trim().toLowerCase();
}

/** Of the most specific range that covers the type; 0 when none does. */
function quality(header: string, type: string): number {
  if (header.trim() === '') return 1;
  const ranges = new Map<string, number>();
  for (const part of header.split(',')) {
    const q = /;\s*q\s*=\s*([\d.]+)/i.exec(part)?.[1];
    ranges.set(mediaType(part), q === undefined ? 1 : Number(q) || 0);
  }
  return ranges.get(type) ?? ranges.get(`${type.split('/')[0]}/*`) ?? ranges.get('*/*') ?? 0;
}
