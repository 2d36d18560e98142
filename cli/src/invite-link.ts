/** Invite links: what is behind one, and accepting it, over HTTP and without any credentials but the link itself. */

import { z } from '@fleetwire/config';
import { isApiKey } from '@fleetwire/identity';
import { ERROR_KINDS, FleetwireError, printable } from '@fleetwire/kernel';
import { errorOfDocument } from './output.ts';

const TIMEOUT_MS = 10_000;
/** Whoever made the link may be anybody. */
const ANSWER_BYTES_MAX = 65_536;

const text = z.string().max(4000);

const lookShape = z.object({ org_name: text, org_slug: text, role: text });

const acceptShape = z.object({
  org: text,
  org_slug: text,
  org_name: text,
  user: text,
  role: text,
  api_key: text.refine(isApiKey, 'is no API key'),
  endpoints: z.object({ org: text, registry: text, router: text, delivery: text }),
});

const errorShape = z.object({
  error: z.object({
    kind: z.enum(ERROR_KINDS),
    reason: text,
    message: text,
    help: text.default(''),
    details: z.record(z.string(), text).default({}),
    violations: z.array(z.object({ field: text, description: text })).default([]),
    retry_after_ms: z.number().nullable().default(null),
  }),
});

export type InvitedTo = Readonly<z.output<typeof lookShape>>;
export type Accepted = Readonly<z.output<typeof acceptShape>>;

/** Throws invalid_argument INVALID_LINK. */
export function checkLink(link: string): URL {
  const url = URL.parse(link.trim());
  const fits = url !== null && /^https?:$/.test(url.protocol) && /\/invite\/[\w-]+$/.test(url.pathname);
  if (fits && url.username === '' && url.password === '') return url;
  throw new FleetwireError('invalid_argument', 'INVALID_LINK', 'this is not the link of an invite', {
    help: 'Copy the whole link; it looks like https://HOST/invite/fwi_...',
  });
}

/** Consumes nothing. Rejects with the service's own error, or unavailable INVITE_UNREACHABLE. */
export function lookAtInvite(link: URL): Promise<InvitedTo> {
  return ask(link, { method: 'GET' }, lookShape);
}

/** Spends the invite. As `lookAtInvite`. */
export function acceptInvite(link: URL, email: string): Promise<Accepted> {
  const headers = { 'content-type': 'application/json' };
  return ask(link, { method: 'POST', headers, body: JSON.stringify({ email }) }, acceptShape);
}

interface Asked {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function ask<T>(link: URL, request: Asked, shape: z.ZodType<T>): Promise<T> {
  const { status, body } = await fetched(link, request);
  const document = jsonOrUndefined(body);
  const error = errorShape.safeParse(document);
  if (error.success) throw errorOfDocument(error.data.error);
  const answer = shape.safeParse(document);
  if (status === 200 && answer.success) return answer.data;
  throw new FleetwireError(
    'unavailable',
    'INVITE_UNREACHABLE',
    `what answers at ${link.origin} is no fabric`,
    {
      help: 'Check the host of the link; a proxy before the fabric has to pass /invite/ on.',
      details: { status: String(status) },
    },
  );
}

/** The secret of the link stays out of errors. */
async function fetched(link: URL, request: Asked): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(link, {
      ...request,
      headers: { ...request.headers, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, body: await boundedText(response) };
  } catch (cause) {
    throw new FleetwireError(
      'unavailable',
      'INVITE_UNREACHABLE',
      `no usable answer from ${link.origin} (${printable(whyNot(cause).replaceAll(link.href, link.origin))})`,
      { help: 'Check that this machine reaches the host of the link.', cause },
    );
  }
}

/** What `fetch` rejects with says nothing itself: what is behind it does. */
function whyNot(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown';
  const behind = thrown.cause ?? thrown;
  if (!(behind instanceof Error)) return thrown.message;
  return (behind as NodeJS.ErrnoException).code?.toString() ?? (behind.message || behind.name);
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > ANSWER_BYTES_MAX) throw new Error('the answer is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function jsonOrUndefined(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
