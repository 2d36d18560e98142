/** Bodies: which types a route takes, and how their bytes become what the handler sees. */

import { mediaType } from './accept.ts';
import { bodyInvalid, mediaTypeUnsupported } from './faults.ts';
import { HTTP_DEFAULTS } from './limits.ts';
import type { BodyKind, HttpRequest } from './types.ts';

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

const TYPES: Readonly<Record<BodyKind, readonly string[] | undefined>> = {
  none: undefined,
  raw: undefined,
  form: [FORM],
  json: [JSON_TYPE],
  'form-or-json': [FORM, JSON_TYPE],
};

/** Throws MEDIA_TYPE_UNSUPPORTED when a route cannot read what is announced; a body that is not announced is none. */
export function checkMediaType(kind: BodyKind, contentType: string, contentEncoding: string): void {
  const types = TYPES[kind];
  const encoded = !['', 'identity'].includes(contentEncoding.trim().toLowerCase());
  if (encoded || (types && contentType !== '' && !types.includes(mediaType(contentType))))
    throw mediaTypeUnsupported(types?.join(' or ') ?? 'a body that is not compressed');
}

/** Throws BODY_INVALID. */
export function parseBody(
  kind: BodyKind,
  contentType: string,
  bytes: Uint8Array,
): Pick<HttpRequest, 'form' | 'json' | 'raw'> {
  const none = { form: new URLSearchParams(), json: undefined };
  if (kind === 'none') return { ...none, raw: new Uint8Array() };
  if (kind === 'raw') return { ...none, raw: bytes };
  const type = mediaType(contentType);
  if (type === JSON_TYPE) return { ...none, json: parseJson(bytes), raw: bytes };
  if (type === FORM) return { ...none, form: parseForm(bytes), raw: bytes };
  if (bytes.length > 0) throw mediaTypeUnsupported(TYPES[kind]!.join(' or '));
  return { ...none, raw: bytes };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(bytes));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw bodyInvalid('not JSON');
    throw cause;
  }
}

function parseForm(bytes: Uint8Array): URLSearchParams {
  const form = new URLSearchParams(textOf(bytes));
  if (form.size > HTTP_DEFAULTS.formFieldsMax) throw bodyInvalid('a form of too many fields');
  return form;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw bodyInvalid('not UTF-8');
  }
}
