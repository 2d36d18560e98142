// Goal: an invite is accepted by its link alone; errors of the service come through whole; whatever else answers is told
// apart, within bounds, and the secret of the link stays out of errors.
// Method: an HTTP server that answers as it is told.

import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newApiKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { after, before, describe, it } from 'mocha';
import { acceptInvite, checkLink, lookAtInvite } from '../src/invite-link.ts';
import { errorDocument } from '../src/output.ts';

const SECRET = `fwi_${'s'.repeat(43)}`;
const ACCEPTED = {
  org: 'o_1',
  org_slug: 'acme',
  org_name: 'Acme',
  user: 'u_1',
  role: 'member',
  api_key: newApiKey(),
  endpoints: { org: 'h:1', registry: '', router: '', delivery: '' },
};

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Record<string, string>;
}

const GOOD: Answer = { status: 200, body: JSON.stringify(ACCEPTED) };

describe('invite links', () => {
  let server: Server;
  let link: URL;
  let seen: { request: IncomingMessage; body: string } | undefined;
  let answer: Answer;
  before(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        seen = { request, body };
        // Whoever follows a redirection would find a good answer.
        const { status, headers, body: text } = request.url === '/other' ? GOOD : answer;
        response.writeHead(status, headers).end(text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    link = checkLink(`http://127.0.0.1:${(server.address() as AddressInfo).port}/invite/${SECRET}`);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  const refused = async () => {
    const error = await acceptInvite(link, 'a@example.org').then(
      () => assert.fail('it was accepted'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof FleetwireError);
    assert.ok(!JSON.stringify(errorDocument(error)).includes(SECRET));
    return error;
  };

  it('are asked as a program, with the address in JSON', async () => {
    answer = { status: 200, body: JSON.stringify({ ...ACCEPTED, more: 'later' }) };
    assert.deepEqual(await acceptInvite(link, 'a@example.org'), ACCEPTED);
    const { method, url, headers } = seen!.request;
    assert.deepEqual([method, url, headers.accept], ['POST', `/invite/${SECRET}`, 'application/json']);
    assert.deepEqual(JSON.parse(seen!.body), { email: 'a@example.org' });
  });
  it('can be looked at first', async () => {
    answer = { status: 200, body: '{"org_name":"Acme","org_slug":"acme","role":"admin","note":""}' };
    assert.deepEqual(await lookAtInvite(link), { org_name: 'Acme', org_slug: 'acme', role: 'admin' });
    assert.equal(seen!.request.method, 'GET');
  });
  it('give the error of the service whole', async () => {
    const error = {
      kind: 'failed_precondition',
      reason: 'INVITE_USED',
      message: 'this invite was used already',
      help: 'Ask for a new one.',
      details: { a: 'b' },
      retry_after_ms: 500,
      violations: [{ field: 'email', description: 'is wrong' }],
    };
    answer = { status: 412, body: JSON.stringify({ error }) };
    assert.deepEqual(errorDocument(await refused()), error);
    answer = {
      status: 404,
      body: '{"error":{"kind":"not_found","reason":"INVITE_INVALID","message":"unknown"}}',
    };
    assert.equal((await refused()).reason, 'INVITE_INVALID');
  });
  it('tell what is no fabric', async () => {
    const answers = [
      { status: 200, body: '<html>' },
      { status: 200, body: '{}' },
      { status: 500, body: JSON.stringify(ACCEPTED) },
      { status: 200, body: JSON.stringify({ ...ACCEPTED, api_key: 'x\ny' }) },
      { status: 200, body: JSON.stringify({ ...ACCEPTED, more: 'x'.repeat(70_000) }) },
      { status: 302, body: '', headers: { location: '/other' } },
    ];
    for (answer of answers)
      assert.equal((await refused()).reason, 'INVITE_UNREACHABLE', answer.body.slice(0, 50));
  });
  it('say why nobody answers', async () => {
    // Port 9 is one that fetch refuses.
    for (const [at, why] of [
      ['http://127.0.0.1:9', /\(bad port\)/],
      ['http://127.0.0.1:2', /\(ECONNREFUSED\)/],
    ] as const) {
      const asked = lookAtInvite(checkLink(`${at}/invite/${SECRET}`));
      await assert.rejects(asked, (e: FleetwireError) => why.test(e.message) && !e.message.includes(SECRET));
    }
  });
  it('tell what is no link', () => {
    assert.equal(checkLink(` https://example.org/fleet/invite/${SECRET}\n`).hostname, 'example.org');
    const bad = [
      '',
      SECRET,
      'https://example.org/',
      `ftp://h/invite/${SECRET}`,
      'https://h/invite/',
      'https://u:p@h/invite/x',
    ];
    for (const text of bad)
      assert.throws(
        () => checkLink(text),
        (e: FleetwireError) => e.reason === 'INVALID_LINK',
        text,
      );
  });
});
