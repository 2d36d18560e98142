// Goal: an invite link shows what it is for and is used only by who says so; nothing anyone wrote becomes markup.
// Method: the routes on a real listener, asked as a browser, as a link preview and as a program would.

import { strict as assert } from 'node:assert';
import type { LookInviteResponse } from '@fleetwire/gen/org';
import { type HttpServer, startHttpServer, styleHash } from '@fleetwire/http';
import { FleetwireError, systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { peerLimit } from '../../src/http/peer-limit.ts';
import type { OrgHttpPorts } from '../../src/http/ports.ts';
import { routes } from '../../src/http/routes.ts';

const SECRET = `fwi_${'s'.repeat(43)}`;
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const PROGRAM = { accept: 'application/json' };
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const NASTY = `<script>alert("1")</script>'&`;
const ESCAPED = '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;';

const invite: LookInviteResponse = {
  orgName: 'Acme',
  orgSlug: 'acme',
  role: 'admin',
  forOneAddress: true,
  expiresAtMs: Date.UTC(2026, 2, 7, 14, 5),
  note: '',
};

interface World extends AsyncDisposable {
  readonly url: string;
  readonly asked: unknown[][];
}

async function world(ports: Partial<OrgHttpPorts> = {}, burst = 1_000): Promise<World> {
  const asked: unknown[][] = [];
  const all: OrgHttpPorts = {
    look: async (...args) => {
      asked.push(['look', ...args]);
      return invite;
    },
    accept: async (...args) => {
      asked.push(['accept', ...args]);
      const { orgName, orgSlug, role } = invite;
      return { org: 'o_1', orgSlug, orgName, user: 'u_1', role, apiKey: 'fwk_secret' };
    },
    webhook: async (...args) => void asked.push(['webhook', ...args]),
    keys: async () => '{"keys":[]}',
    endpoints: () => ({ org: 'hub:1', registry: 'hub:2', router: '', delivery: '' }),
    howToUse: 'fleetwire org use {org_slug} --hub {hub} --org {org_endpoint}{router_endpoint} {what}',
    ...ports,
  };
  const server: HttpServer = await startHttpServer({
    listen: '127.0.0.1:0',
    routes: routes(all, peerLimit({ burst, perMinute: 1, clock: systemClock })),
    log: { debug: () => undefined, error: (fields) => assert.fail(JSON.stringify(fields)) },
    bodyBytesMax: 10_000,
    requestTimeoutMs: 20_000,
    connectionsMax: 10,
  });
  return { url: `http://${server.address}`, asked, [Symbol.asyncDispose]: () => server.close() };
}

const path = `/invite/${SECRET}`;

/** A page, checked for what holds of each: its policy allows its one style, and there is nothing to load or run. */
async function pageOf(answer: Response): Promise<string> {
  const html = await answer.text();
  assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
  const styles = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)];
  assert.equal(styles.length, 1);
  const policy = answer.headers.get('content-security-policy')!;
  assert.ok(policy.includes(`style-src '${styleHash(styles[0]![1]!)}'`), policy);
  assert.doesNotMatch(html, /<script|<link|<img|\ssrc=|\sstyle=|url\(|@import|\son\w+=/i);
  return html;
}

describe('looking at an invite', () => {
  it('shows org, role, note and end, and accepts nothing', async () => {
    await using it = await world({
      look: async () => ({ ...invite, orgName: NASTY, note: `${NASTY}\nline` }),
    });
    for (const headers of [BROWSER, { accept: '*/*' }]) {
      const answer = await fetch(it.url + path, { headers });
      assert.equal(answer.status, 200);
      const html = await pageOf(answer);
      assert.ok(html.includes(`<h1>Join ${ESCAPED}</h1>`));
      assert.ok(html.includes(`<blockquote>${ESCAPED}\nline</blockquote>`));
      assert.match(html, /an admin/);
      assert.match(html, /<time datetime="2026-03-07T14:05:00.000Z">7 March 2026 at 14:05 UTC<\/time>/);
      assert.match(html, /the address that this invite was sent to/);
      assert.match(html, /<form method="post">\n<label for="email">/);
    }
    await fetch(it.url + path, { method: 'HEAD' });
    assert.deepEqual(it.asked, []);
  });

  it('is JSON for programs', async () => {
    await using it = await world();
    const answer = await fetch(it.url + path, { headers: PROGRAM });
    assert.deepEqual(await answer.json(), {
      org_name: 'Acme',
      org_slug: 'acme',
      role: 'admin',
      for_one_address: true,
      expires_at_ms: invite.expiresAtMs,
      note: '',
    });
    assert.deepEqual(it.asked, [['look', SECRET]]);
  });
});

describe('accepting an invite', () => {
  const form = (email: string, headers: Record<string, string> = BROWSER): RequestInit => ({
    method: 'POST',
    headers: { ...headers, ...FORM },
    body: new URLSearchParams({ email }),
  });

  it('by the form shows the key and the commands', async () => {
    await using it = await world();
    const answer = await fetch(it.url + path, form(' bob+1@acme.test '));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const html = await pageOf(answer);
    assert.match(html, /Welcome to Acme/);
    assert.match(html, /<code>fwk_secret<\/code>/);
    const host = it.url.slice('http://'.length);
    assert.ok(html.includes(`<code>fleetwire org use acme --hub ${host} --org hub:1 {what}</code>`));
    assert.deepEqual(it.asked, [
      ['accept', SECRET, 'bob+1@acme.test', { peer: '127.0.0.1', traceparent: '' }],
    ]);
  });

  it('by a program gives all that the program needs', async () => {
    await using it = await world();
    const expected = {
      org: 'o_1',
      org_slug: 'acme',
      org_name: 'Acme',
      user: 'u_1',
      role: 'admin',
      api_key: 'fwk_secret',
      endpoints: { org: 'hub:1', registry: 'hub:2', router: '', delivery: '' },
    };
    const json = (headers: Record<string, string>): RequestInit => ({
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ email: 'bob@acme.test' }),
    });
    assert.deepEqual(await (await fetch(it.url + path, json({}))).json(), expected);
    assert.deepEqual(await (await fetch(it.url + path, json(PROGRAM))).json(), expected);
    assert.deepEqual(await (await fetch(it.url + path, form('bob@acme.test', PROGRAM))).json(), expected);
  });

  it('needs an address', async () => {
    await using it = await world();
    const page = await fetch(it.url + path, form(' '));
    assert.equal(page.status, 400);
    assert.match(await pageOf(page), /Enter your e-mail address\.<\/p>[\s\S]*<a class="button" href="">/);
    for (const body of ['{}', '[]', 'null', '"x"', '{"email":["a@b.c"]}', '{"email":""}']) {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(it.url + path, { method: 'POST', headers, body });
      assert.equal(answer.status, 400);
      const { error } = (await answer.json()) as { error: { reason: string; violations: unknown[] } };
      assert.equal(error.reason, 'REQUEST_INVALID');
      assert.equal(error.violations.length, 1);
    }
    assert.deepEqual(it.asked, []);
  });

  const refusals: readonly [FleetwireError, number, string, boolean][] = [
    [new FleetwireError('not_found', 'INVITE_INVALID', 'unknown'), 404, 'This invite does not exist', false],
    [new FleetwireError('failed_precondition', 'INVITE_USED', 'used'), 412, 'was used already', false],
    [new FleetwireError('failed_precondition', 'INVITE_EXPIRED', 'ended'), 412, 'has expired', false],
    [new FleetwireError('failed_precondition', 'INVITE_REVOKED', 'gone'), 412, 'was taken back', false],
    [
      new FleetwireError('permission_denied', 'INVITE_OTHER_EMAIL', 'other'),
      403,
      'for another address',
      true,
    ],
    [new FleetwireError('resource_exhausted', 'PLAN_LIMIT', 'full'), 429, 'organization is full', false],
    [new FleetwireError('invalid_argument', 'INVALID_EMAIL', 'bad'), 400, 'That did not work', true],
    [new FleetwireError('unavailable', 'DATABASE_AWAY', 'away'), 503, 'Something went wrong here', true],
  ];
  for (const [error, status, title, again] of refusals)
    it(`that fails with ${error.reason} is a page with help`, async () => {
      const { kind, reason, message } = error;
      const thrown = new FleetwireError(kind, reason, `${message} ${NASTY}`, { help: `Do <this>.` });
      const reject = () => Promise.reject(thrown);
      await using it = await world({ accept: reject, look: reject });
      for (const init of [form('bob@acme.test'), { headers: BROWSER }]) {
        const answer = await fetch(it.url + path, init);
        assert.equal(answer.status, status);
        const html = await pageOf(answer);
        assert.match(html, new RegExp(`<h1>.*${title}</h1>`));
        assert.ok(html.includes(ESCAPED));
        assert.ok(html.includes('<p>Do &lt;this&gt;.</p>'));
        assert.equal(html.includes('Back to the invite'), again);
        assert.doesNotMatch(html, /fwi_/);
      }
      const told = (await (await fetch(it.url + path, { headers: PROGRAM })).json()) as {
        error: { reason: string };
      };
      assert.equal(told.error.reason, reason);
    });

  it('too often is refused for a while, before anything is asked', async () => {
    await using it = await world({}, 2);
    const begun = performance.now();
    await fetch(it.url + path, { headers: PROGRAM });
    await fetch(it.url + path, form('bob@acme.test'));
    for (const init of [{ headers: PROGRAM }, form('bob@acme.test', PROGRAM)]) {
      const answer = await fetch(it.url + path, init);
      assert.equal(answer.status, 429);
      const wait = Number(answer.headers.get('retry-after'));
      const goneS = (performance.now() - begun) / 1000;
      assert.ok(Number.isInteger(wait) && wait <= 60 && wait >= Math.floor(60 - goneS), `${wait}`);
    }
    assert.equal(it.asked.length, 2);
    assert.equal((await fetch(`${it.url}/.well-known/jwks.json`)).status, 200, 'of invites only');
  });
});

describe('the other routes', () => {
  it('hand the webhook its bytes and its signature', async () => {
    await using it = await world();
    const raw = '{ "id": "evt_1",\r\n "x": "ü" }';
    const answer = await fetch(`${it.url}/billing/stripe`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'stripe-signature': 't=1,v1=x' },
      body: raw,
    });
    assert.deepEqual(await answer.json(), { received: true });
    const [[, bytes, signature]] = it.asked as [[string, Uint8Array, string]];
    assert.equal(Buffer.from(bytes).toString(), raw);
    assert.equal(signature, 't=1,v1=x');
  });

  it('refuse a webhook that the port refuses', async () => {
    const refused = new FleetwireError('permission_denied', 'SIGNATURE_INVALID', 'no');
    await using it = await world({ webhook: () => Promise.reject(refused) });
    const answer = await fetch(`${it.url}/billing/stripe`, { method: 'POST', body: 'x' });
    assert.equal(answer.status, 403);
  });

  it('publish the keys as they are', async () => {
    await using it = await world();
    const answer = await fetch(`${it.url}/.well-known/jwks.json`);
    assert.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.deepEqual(await answer.json(), { keys: [] });
  });
});
