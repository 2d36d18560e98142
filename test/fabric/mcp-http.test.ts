// Goal: one address serves several coding agents by MCP over HTTP, each as itself and as nobody else; pages of browsers,
// strangers and clients that go away or send too much get nothing and end nothing.
// Method: a fabric by `up`, `fleetwire mcp --http` as a process; the official inspector's command line, and plain HTTP requests.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome, type Started } from './command-line.ts';
import { inspect, inspectTool, MODERN, type Target, type ToolResult } from './mcp-client.ts';

const SLOW = { timeoutMs: 30_000, everyMs: 100 };
const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
};

const MODERN_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2026-07-28',
};

// biome-ignore lint/suspicious/noExplicitAny: documents differ by method and tool, and the tests look into them
type Document = any;

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Document;
}

const textsOf = (result: ToolResult): string[] =>
  result.structuredContent.messages.map((message: { text: string }) => message.text);

describe('agents by MCP over HTTP', () => {
  let home: Home;
  let served: Started;
  let url = '';
  const tokens: Record<string, string> = {};
  before(async () => {
    home = openHome();
    await home.ok('up', '--detach');
    for (const name of ['ann', 'ben']) {
      await home.ok('agent', 'run', name);
      tokens[name] = (await home.ok('agent', 'token', name)).token;
    }
    served = home.start(['mcp', '--http', '127.0.0.1:0', '--json']);
    await eventually(() => served.out().endsWith('}\n'), SLOW);
    url = JSON.parse(served.out()).url;
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(async () => {
    served?.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0, served.err());
    await home[Symbol.asyncDispose]();
  });

  const as = (name: string): Target => ({ url, headers: { Authorization: `Bearer ${tokens[name]}` } });

  /** One request of a client that speaks 2025-11-25. */
  async function post(
    body: unknown,
    headers: Record<string, string>,
    more: RequestInit = {},
  ): Promise<Reply> {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
      ...more,
    });
    const text = await response.text();
    const data = /^data: (\{.*)$/m.exec(text)?.[1] ?? text;
    return {
      status: response.status,
      headers: response.headers,
      json: data === '' ? undefined : JSON.parse(data),
    };
  }
  const bearer = (name: string) => ({ authorization: `Bearer ${tokens[name]}` });
  const rpc = (method: string, params: object, id = 1) => ({ jsonrpc: '2.0', id, method, params });
  const call = (name: string, args: object, id = 2) => rpc('tools/call', { name, arguments: args }, id);
  async function session(name: string): Promise<Record<string, string>> {
    const { headers, status } = await post(rpc('initialize', INITIALIZE), bearer(name));
    assert.equal(status, 200);
    return { ...bearer(name), 'mcp-session-id': headers.get('mcp-session-id')! };
  }

  it('shows its tools to the inspector, and lets two agents write, ask and answer on one address', async () => {
    const { tools } = await inspect(home, as('ann'), '--method', 'tools/list');
    assert.equal(tools.length, 6);
    const sent = await inspectTool(home, as('ann'), 'send', { to: 'ben', text: 'by HTTP' });
    const read = await inspectTool(home, as('ben'), 'inbox', { wait_s: 10 });
    const [message] = read.structuredContent.messages;
    assert.deepEqual([message.id, message.from, message.text], [sent.structuredContent.id, 'ann', 'by HTTP']);
    assert.deepEqual(textsOf(await inspectTool(home, as('ben'), 'inbox')), []);
    const asking = inspectTool(home, as('ann'), 'ask', { to: 'ben', text: 'and you?', timeout_s: 40 });
    const [question] = (await inspectTool(home, as('ben'), 'inbox', { wait_s: 20 })).structuredContent
      .messages;
    await inspectTool(home, as('ben'), 'send', { to: 'ann', text: 'me too', reply_to: question.id });
    assert.equal((await asking).structuredContent.answer.text, 'me too');
    const { structuredContent } = await inspectTool(home, as('ann'), 'trace', { id: message.id });
    assert.deepEqual(
      [structuredContent.source, structuredContent.recipients[0].stage],
      ['node', 'confirmed'],
    );
    const others = await inspectTool(home, as('ben'), 'trace', { id: message.id });
    assert.equal(others.structuredContent.error.reason, 'MESSAGE_UNKNOWN', 'it is not the operator who asks');
  });

  it('refuses who has no token, another token, the session of somebody else, and pages of browsers', async () => {
    const reasonOf = async (
      headers: Record<string, string>,
      body: unknown = rpc('initialize', INITIALIZE),
    ) => {
      const { status, json } = await post(body, headers);
      return [status, json.error.data.reason];
    };
    assert.deepEqual(await reasonOf({}), [401, 'TOKEN_MISSING']);
    assert.deepEqual(await reasonOf({ authorization: 'Bearer fwa_x.y' }), [401, 'TOKEN_INVALID']);
    const admin = { authorization: `Bearer ${'x'.repeat(43)}` };
    assert.deepEqual(await reasonOf(admin), [401, 'TOKEN_INVALID']);
    assert.deepEqual(await reasonOf({ ...bearer('ann'), origin: 'https://evil.example' }), [
      403,
      'ORIGIN_REFUSED',
    ]);
    const mine = await session('ann');
    const stolen = { ...mine, ...bearer('ben') };
    assert.deepEqual(await reasonOf(stolen, call('who', {})), [404, 'SESSION_UNKNOWN']);
    assert.equal((await post(call('who', {}), mine)).json.result.isError, undefined);
    const rebound = await new Promise<number>((resolve, reject) => {
      const headers = { ...bearer('ann'), host: 'evil.example', 'content-length': 0 };
      httpRequest(url, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .once('error', reject)
        .end();
    });
    assert.equal(rebound, 403);
    assert.deepEqual(await reasonOf(bearer('ann'), 'no json'), [400, 'BODY_INVALID']);
    assert.equal((await fetch(url.replace('/mcp', '/'), { headers: bearer('ann') })).status, 404);
    assert.equal((await fetch(url, { method: 'DELETE', headers: mine })).status, 200);
    assert.deepEqual(await reasonOf(mine, call('who', {})), [404, 'SESSION_UNKNOWN']);
    const large = await post(
      rpc('initialize', { ...INITIALIZE, x: 'x'.repeat(9 * 1024 * 1024) }),
      bearer('ann'),
    ).catch(() => undefined);
    assert.ok(large === undefined || large.json.error.data.reason === 'BODY_TOO_LARGE');
    assert.equal((await post(call('who', {}), await session('ann'))).status, 200);
  });

  it('does not count as read what a client did not wait for', async () => {
    const mine = await session('ben');
    const leaving = new AbortController();
    const waiting = post(call('inbox', { wait_s: 50 }), mine, { signal: leaving.signal }).catch(
      () => undefined,
    );
    await post(call('who', {}, 3), mine);
    leaving.abort();
    await waiting;
    await home.ok('send', 'ben', 'still there');
    const got: string[] = [];
    await eventually(async () => {
      got.push(...textsOf((await post(call('inbox', { wait_s: 5 }, 4), mine)).json.result));
      return got.length > 0;
    }, SLOW);
    assert.deepEqual(got, ['still there']);
  });

  it('tells who listens without a session of new mail of its own, and of nobody else', async () => {
    const said: Record<string, string> = { ann: '', ben: '' };
    const leaving = new AbortController();
    for (const name of ['ann', 'ben']) {
      await post(call('inbox', { limit: 50 }), await session(name));
      const notifications = { resourceSubscriptions: ['fleetwire://inbox'] };
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...MODERN_HEADERS, ...bearer(name), 'mcp-method': 'subscriptions/listen' },
        body: JSON.stringify(rpc('subscriptions/listen', { notifications, _meta: MODERN })),
        signal: leaving.signal,
      });
      const listen = async () => {
        for await (const part of response.body!.pipeThrough(new TextDecoderStream())) said[name] += part;
      };
      void listen().catch(() => undefined);
      await eventually(() => said[name]!.includes('subscriptions/acknowledged'), SLOW);
    }
    await home.ok('send', 'ben', 'for ben');
    await eventually(() => said['ben']!.includes('resources/updated'), SLOW);
    assert.doesNotMatch(said['ann']!, /resources\/updated/);
    leaving.abort();
    await post(call('inbox', { limit: 50 }), await session('ben'));
  });

  it('shuts an agent out when it is removed, and goes on for the others', async () => {
    await home.ok('agent', 'run', 'cas');
    tokens['cas'] = (await home.ok('agent', 'token', 'cas')).token;
    const cas = await session('cas');
    await home.ok('agent', 'stop', 'cas');
    const { status, json } = await post(call('send', { to: 'ben', text: 'x' }), cas);
    const reason = status === 200 ? json.result.structuredContent.error.reason : json.error.data.reason;
    assert.equal(reason, 'TOKEN_INVALID');
    assert.equal((await post(rpc('initialize', INITIALIZE), bearer('cas'))).status, 401);
    assert.equal((await post(call('who', {}), await session('ann'))).status, 200);
  });

  it('does not show tokens to a network unless it is told to', async () => {
    const open = await home.refused(['mcp', '--http', '0.0.0.0:0']);
    assert.equal(open.reason, 'PLAIN_HTTP_REFUSED');
    assert.equal((await home.refused(['mcp', '--http', 'nowhere'])).reason, 'LISTEN_FAILED');
    const taken = await home.refused(['mcp', '--http', new URL(url).host]);
    assert.equal(taken.reason, 'LISTEN_FAILED');
    const half = await home.refused(['mcp', '--http', '0.0.0.0:0', '--tls-cert', 'x']);
    assert.equal(half.reason, 'INVALID_USAGE');
    const none = await home.refused(['mcp', '--http', '0.0.0.0:0', '--tls-cert', 'x', '--tls-key', 'y']);
    assert.equal(none.reason, 'TLS_FILE_UNREADABLE');
  });

  it('speaks TLS where it is given a certificate, also without a session to clients that need none', async () => {
    const [key, cert] = [join(home.path, 'key.pem'), join(home.path, 'cert.pem')];
    const self = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
    ];
    execFileSync(
      'openssl',
      ['req', '-x509', '-nodes', '-subj', '/CN=test', ...self, '-keyout', key, '-out', cert],
      {
        stdio: 'pipe',
      },
    );
    const secure = home.start(['mcp', '--http', '0.0.0.0:0', '--tls-cert', cert, '--tls-key', key, '--json']);
    await eventually(() => secure.out().endsWith('}\n'), SLOW);
    const { port } = new URL(JSON.parse(secure.out()).url);
    const body = JSON.stringify(rpc('tools/call', { name: 'who', arguments: {}, _meta: MODERN }));
    const headers = { ...MODERN_HEADERS, ...bearer('ann'), 'mcp-method': 'tools/call', 'mcp-name': 'who' };
    const text = await new Promise<string>((resolve, reject) => {
      const options = { method: 'POST', headers, ca: readFileSync(cert) };
      httpsRequest(`https://127.0.0.1:${port}/mcp`, options, (response) => {
        let said = '';
        response.setEncoding('utf8').on('data', (part: string) => (said += part));
        response.once('end', () => resolve(said));
      })
        .once('error', reject)
        .end(body);
    });
    assert.match(text, /ann@hub \(you\)/);
    secure.child.kill('SIGTERM');
    assert.equal((await secure.ended).code, 0, secure.err());
  });
});
