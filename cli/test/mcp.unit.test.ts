// Goal: what MCP tools take is bounded, what they show cannot be taken for anything else, and every error says what to do.
// Method: the schemas, documents and results themselves, with values at and beyond their bounds.

import { strict as assert } from 'node:assert';
import type { IncomingMessage } from 'node:http';
import { LIMITS } from '@fleetwire/contract';
import { Delivery } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { checkOrigin, isLoopback } from '../src/mcp/http-access.ts';
import { bodyFor, lineOf, messageDocument } from '../src/mcp/messages.ts';
import { errorResult, TOOLS } from '../src/mcp/server.ts';

const takes = (name: string, input: unknown): boolean =>
  TOOLS.find((tool) => tool.name === name)!.input.safeParse(input).success;

describe('tools of MCP', () => {
  it('take what is within their bounds', () => {
    assert.equal(takes('send', { to: 'bob', text: 'x', priority: 'high', wait_s: 55, reply_to: 'x' }), true);
    assert.equal(takes('ask', { to: '?review', text: 'x', timeout_s: 600 }), true);
    assert.equal(takes('inbox', {}), true);
    for (const bad of [
      { limit: 0 },
      { limit: 51 },
      { limit: 1.5 },
      { wait_s: 56 },
      { peek: 'yes' },
      { limit: '3' },
    ])
      assert.equal(takes('inbox', bad), false, JSON.stringify(bad));
    const long = 'x'.repeat(LIMITS.bodyBytes + 1);
    for (const bad of [
      {},
      { to: 'bob' },
      { to: '', text: 'x' },
      { to: 'bob', text: '' },
      { to: 'bob', text: long },
    ])
      assert.equal(takes('send', bad), false);
    assert.equal(takes('send', { to: 'bob', text: 'x', priority: 'system' }), false);
    assert.equal(takes('ask', { to: 'bob', text: 'x', timeout_s: 601 }), false);
    assert.equal(takes('channels', { action: 'delete' }), false);
  });

  it('say of themselves whether they only look', () => {
    const looks = TOOLS.filter(({ annotations }) => annotations.readOnlyHint).map(({ name }) => name);
    assert.deepEqual(looks, ['who', 'trace']);
  });

  it('count the bytes of a text, not its characters', () => {
    assert.equal(bodyFor('ä'.repeat(LIMITS.bodyBytes / 2)).length, LIMITS.bodyBytes);
    assert.throws(() => bodyFor('ä'.repeat(LIMITS.bodyBytes / 2 + 1)), { reason: 'BODY_TOO_LARGE' });
    assert.throws(() => bodyFor(''), { reason: 'EMPTY_MESSAGE' });
  });

  it('show a message on one line without controls, and what is no text as base64', () => {
    const of = (body: Uint8Array) =>
      messageDocument(Delivery.fromPartial({ id: 'i', fromName: 'bob', to: 'a', body }));
    const hostile = '\u0000\u001b[2J\n"}\u2028\u202e\u{e0001}\ud83d\ude00';
    const line = lineOf(of(Buffer.from(hostile)));
    assert.doesNotMatch(line, /\p{C}/u);
    assert.equal(JSON.parse(line).text, hostile);
    assert.deepEqual(of(Buffer.from([0xff, 0])).base64, '/wA=');
    assert.equal(of(Buffer.from('x')).base64, undefined);
  });

  it('tell errors with reason, help and when to try again, and keep what was not expected to themselves', () => {
    const extras = { help: 'Do that.', retryAfterMs: 1500 };
    const busy = errorResult(
      new FleetwireError('resource_exhausted', 'RECIPIENT_BUSY', 'bob is busy', extras),
    );
    assert.deepEqual(busy.content, [
      { type: 'text', text: 'bob is busy (RECIPIENT_BUSY)\nDo that.\nTry again in 2 s.' },
    ]);
    assert.equal(busy.isError, true);
    const away = errorResult(new FleetwireError('unavailable', 'NODE_DOWN', 'away')).structuredContent;
    assert.equal((away as { error: { retry_after_ms: number } }).error.retry_after_ms, 1000);
    assert.doesNotMatch(JSON.stringify(errorResult(new Error('secret'))), /secret/);
  });

  it('are served to who calls them by an address or a known name, and to no page of another site', () => {
    const reasonOf = (headers: object, allowed: string[] = []) => {
      try {
        checkOrigin({ headers } as IncomingMessage, allowed);
        return 'served';
      } catch (error) {
        return (error as FleetwireError).reason;
      }
    };
    for (const host of ['127.0.0.1:7790', 'localhost:7790', '[::1]:1', '10.0.0.2'])
      assert.equal(reasonOf({ host }), 'served');
    for (const host of ['evil.example', 'localhost.evil.example:7790', '', 'a b', undefined])
      assert.equal(reasonOf({ host }), 'HOST_REFUSED', host);
    assert.equal(reasonOf({ host: 'hub.example' }, ['hub.example']), 'served');
    const host = 'localhost';
    assert.equal(reasonOf({ host, origin: 'http://localhost:3000' }), 'served');
    for (const origin of ['null', 'https://evil.example', 'http://10.0.0.2'])
      assert.equal(reasonOf({ host, origin }), 'ORIGIN_REFUSED');
    for (const own of ['127.0.0.1', '::1', 'localhost']) assert.equal(isLoopback(own), true);
    for (const open of ['0.0.0.0', '::', '10.1.1.1']) assert.equal(isLoopback(open), false);
  });
});
