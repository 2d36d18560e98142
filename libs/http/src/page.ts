/** Pages: escaping, the hash that lets a page have its own style and no other, and the plain page of an error. */

import { createHash } from 'node:crypto';
import type { HttpPage, HttpRefusal } from './types.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for an element or for a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => ENTITIES[sign]!);
}

/** For the Content-Security-Policy; the text is exactly what stands between the tags. */
export function styleHash(css: string): string {
  return `sha256-${createHash('sha256').update(css).digest('base64')}`;
}

const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}' +
  'small{opacity:.7}';
const HASH = styleHash(STYLE);

/** What a client that prefers HTML sees of an error of a route that has no page of its own for it. */
export function plainErrorPage(refusal: HttpRefusal): HttpPage {
  const { message, help, reason, status } = refusal;
  const more = help === undefined ? '' : `<p>${escapeHtml(help)}</p>`;
  return {
    html: `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>${status}</title>
<style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(message)}</h1>${more}<p><small>${status} ${escapeHtml(reason)}</small></p></main></body></html>`,
    styleHash: HASH,
  };
}
