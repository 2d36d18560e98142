// Goal: programs get errors they can act on, people a page, and nobody what an unexpected error says.
// Method: routes that throw, asked with and without a preference; what was logged is looked at.

import { strict as assert } from 'node:assert';
import { ERROR_TABLE } from '@fleetwire/contract';
import { type HttpRoute, styleHash } from '@fleetwire/http';
import { ERROR_KINDS, FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { exchange, serve, toldBy } from './serve.ts';

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };

const throwing = (thrown: unknown, more: Partial<HttpRoute> = {}): HttpRoute => ({
  method: 'GET',
  path: '/invite/:secret',
  body: 'none',
  handle: () => {
    throw thrown;
  },
  ...more,
});

const full = new FleetwireError('resource_exhausted', 'TOO_MUCH', 'too <much>', {
  help: 'Wait & see.',
  details: { limit: '3' },
  violations: [{ field: 'email', description: 'is odd' }],
  retryAfterMs: 1_200,
});

describe('an error, for programs', () => {
  for (const kind of ERROR_KINDS)
    it(`of kind ${kind} has the status of the table`, async () => {
      await using it = await serve([throwing(new FleetwireError(kind, 'SOME_REASON', 'text'))]);
      const answer = await fetch(`${it.url}/invite/s3cret`);
      assert.equal(answer.status, ERROR_TABLE[kind].http);
      assert.deepEqual(await toldBy(answer), {
        kind,
        reason: 'SOME_REASON',
        message: 'text',
        details: {},
        violations: [],
      });
    });

  it('carries help, details, violations and when to come back', async () => {
    await using it = await serve([throwing(full)]);
    const answer = await fetch(`${it.url}/invite/s3cret`);
    assert.equal(answer.headers.get('retry-after'), '2');
    assert.deepEqual(await toldBy(answer), {
      kind: 'resource_exhausted',
      reason: 'TOO_MUCH',
      message: 'too <much>',
      help: 'Wait & see.',
      details: { limit: '3' },
      violations: [{ field: 'email', description: 'is odd' }],
      retry_after_ms: 1_200,
    });
  });

  it('says nothing of what was not expected, and is logged once, by the pattern of its route', async () => {
    await using it = await serve([
      throwing(new Error('password is hunter2', { cause: new Error('deeper') })),
    ]);
    const answer = await fetch(`${it.url}/invite/s3cret?x=s3cret`);
    assert.equal(answer.status, 500);
    const text = await answer.text();
    assert.match(text, /"reason":"INTERNAL"/);
    assert.doesNotMatch(text, /hunter2/);
    assert.equal(it.logged.length, 1);
    assert.equal(it.logged[0]!['route'], '/invite/:secret');
    assert.match(String(it.logged[0]!['cause']), /hunter2.*deeper/);
    assert.doesNotMatch(JSON.stringify([it.logged, it.refused]), /s3cret/);
  });

  it('of an answer that cannot be sent is one of ours as well', async () => {
    const route = throwing(undefined, {
      handle: () => ({ status: 200, headers: { 'x-odd': 'a\r\nb' }, type: 'text', body: '' }),
    });
    await using it = await serve([route]);
    assert.equal((await fetch(`${it.url}/invite/s3cret`)).status, 500);
    assert.equal(it.logged.length, 1);
  });
});

describe('an error, for people', () => {
  it('is a page with everything escaped', async () => {
    await using it = await serve([throwing(full)]);
    const answer = await fetch(`${it.url}/invite/s3cret`, { headers: BROWSER });
    assert.equal(answer.status, 429);
    assert.equal(answer.headers.get('retry-after'), '2');
    assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
    const html = await answer.text();
    assert.match(html, /<h1>too &lt;much&gt;<\/h1><p>Wait &amp; see\.<\/p>/);
    const style = /<style>(.*)<\/style>/s.exec(html)![1]!;
    assert.ok(answer.headers.get('content-security-policy')!.includes(styleHash(style)));
  });

  it('is the page of the route when it has one, without what was not expected', async () => {
    const errorPage: HttpRoute['errorPage'] = (refusal) => ({ html: `own: ${refusal.message}` });
    await using it = await serve([throwing(new Error('hunter2'), { errorPage })]);
    const html = await (await fetch(`${it.url}/invite/s3cret`, { headers: BROWSER })).text();
    assert.equal(html, 'own: the service met an unexpected error; its log has the cause');
    const anything = await fetch(`${it.url}/invite/s3cret`, { headers: { accept: '*/*' } });
    assert.match(
      await anything.text(),
      /^own: /,
      'who has no preference gets the page of a route that has pages',
    );
    const program = await fetch(`${it.url}/invite/s3cret`, { headers: { accept: 'application/json' } });
    assert.equal((await toldBy(program)).reason, 'INTERNAL');
  });
});

describe('time', () => {
  const hanging: HttpRoute = {
    ...throwing(undefined),
    handle: () => new Promise(() => undefined),
  };

  it('is up for a handler that hangs, and its signal aborts', async () => {
    let aborted = false;
    const route: HttpRoute = {
      ...hanging,
      handle: (request) => {
        request.signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => undefined);
      },
    };
    await using it = await serve([route], { requestTimeoutMs: 100 });
    const answer = await fetch(`${it.url}/invite/s3cret`);
    assert.equal(answer.status, 504);
    assert.equal((await toldBy(answer)).reason, 'DEADLINE_EXCEEDED');
    assert.ok(aborted);
  });

  it('is up for a request whose body or header never comes', async () => {
    const post: HttpRoute = { ...hanging, method: 'POST', body: 'json' };
    await using it = await serve([post], { requestTimeoutMs: 100 });
    const head = 'POST /invite/s3cret HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    for (const bytes of [`${head}Content-Length: 5\r\n\r\n{`, head]) {
      const answer = await exchange(it.url, bytes);
      assert.match(answer, /^HTTP\/1.1 408 Request Timeout\r\n/);
      assert.match(answer, /REQUEST_TIMEOUT/);
    }
    assert.doesNotMatch(JSON.stringify(it.refused), /s3cret/);
  });
});

describe('a trace', () => {
  const PARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const OWN = `00-${'a'.repeat(32)}-${'c'.repeat(16)}-01`;

  it('is continued when it is one, under the pattern of the route', async () => {
    const seen: unknown[] = [];
    const route: HttpRoute = {
      ...throwing(undefined),
      handle: (request) => {
        seen.push(request.traceparent);
        if (request.params['secret'] === 'bad') throw full;
        return { status: 200, type: 'text', body: '' };
      },
    };
    await using it = await serve([route], {
      hop: (name, parent) => {
        seen.push(name, parent);
        return { traceparent: OWN, end: (error) => seen.push(error ?? 'ended') };
      },
      runWithTrace: (traceparent, fn) => {
        seen.push(`in ${traceparent}`);
        return fn();
      },
    });
    await fetch(`${it.url}/invite/good`, { headers: { traceparent: PARENT } });
    const name = 'GET /invite/:secret';
    await eventually(() => seen.length === 5);
    assert.deepEqual(seen, [name, PARENT, `in ${OWN}`, OWN, 'ended']);
    seen.length = 0;
    await fetch(`${it.url}/invite/bad`, { headers: { traceparent: `${PARENT}\t;evil` } });
    await eventually(() => seen.length === 5);
    assert.deepEqual(seen, [name, '', `in ${OWN}`, OWN, full]);
  });
});
