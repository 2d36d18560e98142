// Goal: requests reach their routes parsed and bounded, and every answer is safe to show in a browser.
// Method: a real listener asked by fetch, and by raw bytes where fetch is too well-behaved.

import { strict as assert } from 'node:assert';
import { type HttpRoute, styleHash } from '@fleetwire/http';
import { describe, it } from 'mocha';
import { echo, exchange, serve, toldBy } from './serve.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const post = (body: string | Uint8Array, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: body as string,
  headers,
});
// biome-ignore lint/suspicious/noExplicitAny: what the echo gives
const asked = async (answer: Response): Promise<any> => {
  assert.equal(answer.status, 200);
  return answer.json();
};

describe('what a route sees', () => {
  it('has the parts of the path and the query, decoded', async () => {
    await using it = await serve([echo('GET', '/a/:one/b/:two', 'none')]);
    const seen = await asked(await fetch(`${it.url}/a/x%20y/b/%C3%BC?k=1&k=%26`));
    assert.deepEqual(seen.params, { one: 'x y', two: 'ü' });
    assert.deepEqual(seen.query, [
      ['k', '1'],
      ['k', '&'],
    ]);
    assert.equal(seen.peer, '127.0.0.1');
    assert.equal(`http://${seen.host}`, it.url);
  });

  it('has a form, JSON, or the bytes as they came', async () => {
    await using it = await serve([
      echo('POST', '/form', 'form'),
      echo('POST', '/json', 'json'),
      echo('POST', '/both', 'form-or-json'),
      echo('POST', '/raw', 'raw'),
    ]);
    const form = [
      ['email', 'a+b@c.test'],
      ['__proto__', 'x'],
    ];
    const body = 'email=a%2Bb%40c.test&__proto__=x';
    assert.deepEqual((await asked(await fetch(`${it.url}/form`, post(body, FORM)))).form, form);
    assert.deepEqual((await asked(await fetch(`${it.url}/both`, post(body, FORM)))).form, form);
    const json = { 'content-type': 'application/json; charset=utf-8' };
    assert.deepEqual((await asked(await fetch(`${it.url}/json`, post('{"a":[1]}', json)))).json, { a: [1] });
    assert.deepEqual((await asked(await fetch(`${it.url}/both`, post('{"a":[1]}', json)))).json, { a: [1] });
    const bytes = new Uint8Array([0, 13, 10, 255]);
    const raw = await asked(
      await fetch(`${it.url}/raw`, post(bytes, { 'content-type': 'application/json' })),
    );
    assert.equal(raw.raw, '\0\r\n\xff');
    assert.deepEqual((await asked(await fetch(`${it.url}/form`, { method: 'POST' }))).form, []);
  });

  it('has the peer that a trusted proxy names, and only such a proxy', async () => {
    const forged = { headers: { 'x-forwarded-for': '203.0.113.9' } };
    await using plain = await serve([echo('GET', '/', 'none')]);
    assert.equal((await asked(await fetch(plain.url, forged))).peer, '127.0.0.1');
    await using behind = await serve([echo('GET', '/', 'none')], { trustedProxies: ['127.0.0.0/8'] });
    assert.equal((await asked(await fetch(behind.url, forged))).peer, '203.0.113.9');
    await assert.rejects(serve([], { trustedProxies: ['nonsense'] }), { reason: 'INVALID_CONFIG' });
  });

  it('has no host that could not be one', async () => {
    await using it = await serve([echo('GET', '/', 'none')]);
    const answer = await exchange(it.url, 'GET / HTTP/1.1\r\nHost: $(reboot)\r\nConnection: close\r\n\r\n');
    assert.match(answer, /"host":""/);
  });
});

describe('what a route does not see', () => {
  const refusals: readonly [string, string, RequestInit, number, string][] = [
    ['an unknown path', '/nowhere/secret', {}, 404, 'ROUTE_UNKNOWN'],
    ['a path that cannot be decoded', '/a/%ff', {}, 404, 'ROUTE_UNKNOWN'],
    ['a part of a path that is too long', `/a/${'x'.repeat(300)}`, {}, 404, 'ROUTE_UNKNOWN'],
    ['another method', '/a/secret', { method: 'POST' }, 405, 'METHOD_NOT_ALLOWED'],
    ['a body that is too large', '/form', post('x'.repeat(1001), FORM), 413, 'BODY_TOO_LARGE'],
    [
      'a body of another type',
      '/form',
      post('{}', { 'content-type': 'application/json' }),
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['a type that is none', '/form', post('{}', { 'content-type': '???' }), 415, 'MEDIA_TYPE_UNSUPPORTED'],
    ['a body without a type', '/form', post(new Uint8Array([97])), 415, 'MEDIA_TYPE_UNSUPPORTED'],
    [
      'a compressed body',
      '/form',
      post('x', { ...FORM, 'content-encoding': 'gzip' }),
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['malformed JSON', '/json', post('{"a":', { 'content-type': 'application/json' }), 400, 'BODY_INVALID'],
    ['no JSON at all', '/json', post('', { 'content-type': 'application/json' }), 400, 'BODY_INVALID'],
    ['text that is not UTF-8', '/form', post(new Uint8Array([255]), FORM), 400, 'BODY_INVALID'],
    ['a form of too many fields', '/form', post('a=&'.repeat(65), FORM), 400, 'BODY_INVALID'],
  ];
  for (const [what, path, init, status, reason] of refusals)
    it(`refuses ${what} with ${reason}`, async () => {
      await using it = await serve([
        echo('GET', '/a/:secret', 'none'),
        echo('POST', '/form', 'form'),
        echo('POST', '/json', 'json'),
      ]);
      const answer = await fetch(it.url + path, init);
      assert.equal(answer.status, status);
      assert.equal((await toldBy(answer)).reason, reason);
      if (status === 405) assert.equal(answer.headers.get('allow'), 'GET, HEAD');
      assert.deepEqual(it.logged, []);
      assert.equal(it.refused.length, 1);
      assert.doesNotMatch(JSON.stringify(it.refused), /secret\b(?!")/);
    });

  it('refuses a body that grows beyond the limit without having said so', async () => {
    await using it = await serve([echo('POST', '/form', 'form')]);
    const head = 'POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n';
    const chunks = `Transfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}\r\n`;
    const answer = await exchange(it.url, head + chunks);
    assert.match(answer, /^HTTP\/1.1 413 /);
    assert.match(answer, /BODY_TOO_LARGE/);
  });

  it('refuses what is not HTTP, and headers without end', async () => {
    await using it = await serve([]);
    const nonsense = await exchange(it.url, 'HELO there\r\n\r\n');
    assert.match(nonsense, /^HTTP\/1.1 400 Bad Request\r\n/);
    assert.match(nonsense, /content-security-policy: default-src 'none'/);
    assert.match(nonsense, /REQUEST_MALFORMED/);
    const long = await exchange(it.url, `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`);
    assert.match(long, /^HTTP\/1.1 431 /);
    assert.match(long, /HEADERS_TOO_LARGE/);
  });
});

describe('what leaves', () => {
  const CSS = 'p{color:red}';
  const page: HttpRoute = {
    method: 'GET',
    path: '/page',
    body: 'none',
    handle: () => ({
      status: 200,
      headers: { 'cache-control': 'max-age=5' },
      type: 'html',
      body: `<style>${CSS}</style>`,
      styleHash: styleHash(CSS),
    }),
  };

  it('has the security headers, on pages, JSON and errors', async () => {
    await using it = await serve([page, echo('GET', '/json', 'none')]);
    for (const path of ['/page', '/json', '/healthz', '/nowhere']) {
      const { headers } = await fetch(it.url + path);
      const policy = headers.get('content-security-policy')!;
      assert.match(policy, /^default-src 'none'; /);
      assert.match(policy, /form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/);
      assert.equal(policy.includes('style-src'), path === '/page');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('referrer-policy'), 'no-referrer');
      assert.equal(headers.get('cache-control'), path === '/page' ? 'max-age=5' : 'no-store');
    }
  });

  it('lets a page have its own style and no other', async () => {
    await using it = await serve([page]);
    const policy = (await fetch(`${it.url}/page`)).headers.get('content-security-policy')!;
    // printf 'p{color:red}' | openssl dgst -sha256 -binary | base64
    assert.ok(policy.includes("style-src 'sha256-p0bF+un5yUb9MBO6xRb8kPHlY2BdpHVtLiFkDrZPF64='; "), policy);
  });

  it('answers HEAD like GET, without a body', async () => {
    await using it = await serve([page]);
    const answer = await exchange(it.url, 'HEAD /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(answer, /\r\n\r\n$/);
  });
});
