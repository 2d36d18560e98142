// Goal: sessions over HTTP are bounded for each agent, so that one that leaks them shuts nobody out; whose has to go is told so.
// Method: sessions as clients open them, with small bounds; agents are told apart by their doors alone.

import { strict as assert } from 'node:assert';
import type { IncomingMessage } from 'node:http';
import type { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { McpServer } from '@modelcontextprotocol/server';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { AgentDoor } from '../src/mcp/agent-door.ts';
import { HttpAccess } from '../src/mcp/http-access.ts';
import { HttpSessions } from '../src/mcp/http-sessions.ts';

const [ann, ben, cas] = ['ann', 'ben', 'cas'].map(
  (name) => ({ name, closed: new AbortController().signal }) as unknown as AgentDoor,
) as [AgentDoor, AgentDoor, AgentDoor];
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

const post = (body: unknown): Request =>
  new Request('http://localhost/mcp', {
    method: 'POST',
    headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

describe('sessions of MCP over HTTP', () => {
  let sessions: HttpSessions;
  beforeEach(() => {
    const limits = { sessions: 5, sessionsOfAgent: 3 };
    sessions = new HttpSessions(() => new McpServer({ name: 'test', version: '1' }, {}), limits);
  });
  afterEach(() => sessions.close());

  async function open(door: AgentDoor): Promise<string> {
    const response = await sessions.initialize(door, post(INITIALIZE), INITIALIZE);
    await response.body?.cancel();
    return response.headers.get('mcp-session-id')!;
  }
  async function openAll(door: AgentDoor, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) ids.push(await open(door));
    return ids;
  }
  const stateOf = (id: string, door: AgentDoor): string => {
    try {
      sessions.named(id, door);
      return 'open';
    } catch (error) {
      return (error as FleetwireError).reason;
    }
  };
  /** As a stream of notifications: a request that is not over. */
  function listen(id: string, door: AgentDoor): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ping = { jsonrpc: '2.0', method: 'notifications/initialized' };
    void sessions.handle(sessions.named(id, door), post(ping), ping, promise);
    return resolve;
  }

  it('of an agent that has its share make room for its new ones, the longest idle first, and nobody else does', async () => {
    const other = await open(ben);
    const [first, second, third] = await openAll(ann, 3);
    const stop = listen(first!, ann);
    const fourth = await open(ann);
    const states = [first, second, third, fourth].map((id) => stateOf(id!, ann));
    assert.deepEqual(states, ['open', 'SESSION_DISPLACED', 'open', 'open']);
    assert.equal(stateOf(second!, ben), 'SESSION_UNKNOWN', 'it is nothing of somebody else');
    assert.equal(stateOf(other, ben), 'open');
    stop();
  });

  it('are refused to an agent whose share is in use', async () => {
    const ids = await openAll(ann, 3);
    const stops = ids.map((id) => listen(id, ann));
    await assert.rejects(open(ann), { reason: 'TOO_MANY_SESSIONS' });
    await open(ben);
    for (const stop of stops) stop();
    await new Promise(setImmediate);
    await open(ann);
  });

  it('make room, where all are taken, for who has fewer, and go to whoever has most', async () => {
    const others = await openAll(ben, 2);
    const ids = await openAll(ann, 3);
    const third = await open(cas);
    assert.deepEqual(
      ids.map((id) => stateOf(id, ann)),
      ['SESSION_DISPLACED', 'open', 'open'],
    );
    assert.deepEqual(
      others.map((id) => stateOf(id, ben)),
      ['open', 'open'],
    );
    await assert.rejects(open(ann), { reason: 'TOO_MANY_SESSIONS' }, 'nobody has more');
    assert.equal(stateOf(third, cas), 'open');
  });

  it('lose none to a request that begins none', async () => {
    const ids = await openAll(ann, 3);
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    for (const body of [list, [list]]) {
      const { status } = await sessions.initialize(ann, post(body), body);
      assert.equal(status, 400);
    }
    assert.deepEqual(
      ids.map((id) => stateOf(id, ann)),
      ['open', 'open', 'open'],
    );
  });

  it('end with the door of their agent, listened to or not, and none is left at one that has closed', async () => {
    const over = new AbortController();
    const door = { closed: over.signal } as unknown as AgentDoor;
    const [idle, listening] = await openAll(door, 2);
    const other = await open(ben);
    listen(listening!, door);
    const stream = await sessions.named(listening!, door).transport.handleRequest(
      new Request('http://localhost/mcp', {
        headers: {
          accept: 'text/event-stream',
          'mcp-session-id': listening!,
          'mcp-protocol-version': '2025-11-25',
        },
      }),
    );
    assert.equal(stream.status, 200);
    const ended = stream.text();
    over.abort();
    await ended;
    await eventually(() => !sessions.isUsed(door));
    const late = await open(door);
    const states = [idle, listening, late].map((id) => stateOf(id!, door));
    assert.deepEqual(states, ['SESSION_UNKNOWN', 'SESSION_UNKNOWN', 'SESSION_UNKNOWN']);
    assert.equal(stateOf(other, ben), 'open');
  });

  it('are not swept while somebody listens, and keep the door of their agent', async () => {
    const introduced = { address: '127.0.0.1:1', token: 't', id: 'a_1', name: 'ann' };
    const access = new HttpAccess(() => () => Promise.resolve(introduced));
    const request = { headers: { authorization: 'Bearer t' } } as IncomingMessage;
    const door = await access.doorOf(request);
    const [idle, listening] = await openAll(door, 2);
    const stop = listen(listening!, door);
    await sessions.sweep(-1);
    assert.deepEqual([stateOf(idle!, door), stateOf(listening!, door)], ['SESSION_UNKNOWN', 'open']);
    access.sweep(-1, (one) => sessions.isUsed(one));
    assert.equal(await access.doorOf(request), door);
    stop();
    await new Promise(setImmediate);
    await sessions.sweep(-1);
    access.sweep(-1, (one) => sessions.isUsed(one));
    assert.notEqual(await access.doorOf(request), door);
    await access.close();
  });
});
