/** The routes of org: the invite page, the billing webhook, the public keys of tokens. */

import type { HttpAnswer, HttpRequest, HttpRoute } from '@fleetwire/http';
import { FleetwireError } from '@fleetwire/kernel';
import { acceptedPage, invitePage, PAGE_STYLE_HASH, refusedPage } from './pages.ts';
import type { OrgHttpPorts } from './ports.ts';

/** `limit` throws when a peer asks for invites too often. */
export function routes(ports: OrgHttpPorts, limit: (peer: string) => void): readonly HttpRoute[] {
  const errorPage: HttpRoute['errorPage'] = (refusal) => ({
    html: refusedPage(refusal),
    styleHash: PAGE_STYLE_HASH,
  });
  return [
    {
      method: 'GET',
      path: '/invite/:secret',
      body: 'none',
      errorPage,
      handle: (request) => {
        limit(request.peer);
        return showInvite(ports, request);
      },
    },
    {
      method: 'POST',
      path: '/invite/:secret',
      body: 'form-or-json',
      errorPage,
      handle: (request) => {
        limit(request.peer);
        return acceptInvite(ports, request);
      },
    },
    {
      method: 'POST',
      path: '/billing/stripe',
      body: 'raw',
      handle: async (request) => {
        await ports.webhook(request.raw, request.header('stripe-signature'));
        return { status: 200, type: 'json', body: { received: true } };
      },
    },
    {
      method: 'GET',
      path: '/.well-known/jwks.json',
      body: 'none',
      handle: async () => ({
        status: 200,
        headers: { 'content-type': 'application/json; charset=utf-8' },
        type: 'text',
        body: await ports.keys(),
      }),
    },
  ];
}

async function showInvite(ports: OrgHttpPorts, request: HttpRequest): Promise<HttpAnswer> {
  const invite = await ports.look(secretOf(request));
  if (request.wantsPage) return page(invitePage(invite));
  const { orgName, orgSlug, role, forOneAddress, expiresAtMs, note } = invite;
  return {
    status: 200,
    type: 'json',
    body: {
      org_name: orgName,
      org_slug: orgSlug,
      role,
      for_one_address: forOneAddress,
      expires_at_ms: expiresAtMs,
      note,
    },
  };
}

async function acceptInvite(ports: OrgHttpPorts, request: HttpRequest): Promise<HttpAnswer> {
  const { peer, traceparent } = request;
  const accepted = await ports.accept(secretOf(request), emailOf(request), { peer, traceparent });
  const { org, orgSlug, orgName, user, role, apiKey } = accepted;
  const endpoints = ports.endpoints();
  if (!request.wantsPage)
    return {
      status: 200,
      type: 'json',
      body: { org, org_slug: orgSlug, org_name: orgName, user, role, api_key: apiKey, endpoints },
    };
  const values: Record<string, string> = { hub: request.host, org, org_slug: orgSlug };
  for (const [name, endpoint] of Object.entries(endpoints)) values[`${name}_endpoint`] = endpoint;
  return page(acceptedPage(accepted, fill(ports.howToUse, values)));
}

const page = (body: string): HttpAnswer => ({
  status: 200,
  type: 'html',
  body,
  styleHash: PAGE_STYLE_HASH,
});

const secretOf = (request: HttpRequest): string => request.params['secret'] ?? '';

/** Throws `invalid_argument` REQUEST_INVALID. Whether the address is one is not decided here. */
function emailOf(request: HttpRequest): string {
  const { json } = request;
  const given =
    typeof json === 'object' && json !== null && 'email' in json ? json.email : request.form.get('email');
  if (typeof given === 'string' && given.trim() !== '') return given.trim();
  throw new FleetwireError('invalid_argument', 'REQUEST_INVALID', 'the e-mail address is missing', {
    help: 'Enter your e-mail address.',
    violations: [{ field: 'email', description: 'is required' }],
  });
}

/** Placeholders that are not known stay as they are. */
function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{([a-z_]+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? values[name]! : whole,
  );
}
