// Goal: a client by MCP gets all its mail once, as much at a time as it asked for; what is being written to it is nobody else's,
// and what it could not be given is free at once; it is told of what was taken back after it had read it.
// Method: the door over a mailbox that the test keeps in a list; answers that are settled by hand, with a pace of milliseconds.

import { strict as assert } from 'node:assert';
import { Delivery, ReadInboxRequest, type ReadInboxResponse } from '@fleetwire/gen/node';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { NodeClient } from '../src/local-nodes.ts';
import { AgentDoor } from '../src/mcp/agent-door.ts';
import { showing } from '../src/mcp/showing.ts';

const never = new AbortController().signal;
const LOOK = { limit: 3, replyTo: '', holdMs: 0 };
const PACE = { holdMs: 5000, renewMs: 2, showMs: 60_000 };

/** As a node answers, but for holds, which it only notes. */
class Box {
  mail: string[] = ['a', 'b', 'c', 'd', 'e'];
  readonly cancelled: string[] = [];
  /** `renewMs` of each call that held something, and what that was. */
  readonly held: number[] = [];
  readonly heldIds: string[] = [];
  readonly calls: string[] = [];
  #closed = false;
  revoked = false;
  away = false;

  async readInbox(partial: Partial<ReadInboxRequest>): Promise<ReadInboxResponse> {
    const { confirm, hold, renewMs, limit } = ReadInboxRequest.fromPartial(partial);
    this.calls.push(confirm.length > 0 ? 'confirm' : hold.length > 0 ? 'hold' : 'look');
    if (hold.length > 0) await pause(1);
    if (this.away || this.#closed) throw new FleetwireError('unavailable', 'NODE_DOWN', 'away');
    if (hold.length > 0) this.held.push(renewMs);
    this.heldIds.push(...hold);
    const tooLate = confirm.filter((id) => !this.mail.includes(id));
    const cancelled = confirm.filter((id) => this.cancelled.includes(id));
    this.mail = this.mail.filter((id) => !confirm.includes(id));
    const shown = confirm.length + hold.length > 0 ? [] : this.mail.slice(0, limit);
    const deliveries = shown.map((id) => Delivery.fromPartial({ id }));
    return { deliveries, remaining: this.mail.length - shown.length, tooLate, cancelled };
  }

  agentToken(): Promise<{ agent: string; name: string }> {
    if (this.revoked)
      return Promise.reject(new FleetwireError('unauthenticated', 'TOKEN_INVALID', 'revoked'));
    return Promise.resolve({ agent: 'a_1', name: 'ann' });
  }

  close(): void {
    this.#closed = true;
  }
}

describe('the door of an agent by MCP', () => {
  let box: Box;
  let door: AgentDoor;
  beforeEach(() => {
    box = new Box();
    const introduced = { address: 'here', token: 't', id: 'a_1', name: 'ann' };
    door = new AgentDoor(
      () => Promise.resolve(introduced),
      () => box as unknown as NodeClient,
    );
  });
  afterEach(() => door.close());

  const look = async () => {
    const { deliveries, remaining } = await door.look(LOOK, 0, never);
    return [deliveries.map(({ id }) => id), remaining] as const;
  };

  it('shows what comes next as soon as its client has the rest, though the node was away when that was to be told', async () => {
    assert.deepEqual(await look(), [['a', 'b', 'c'], 2]);
    box.away = true;
    door.confirm(['a', 'b', 'c']);
    await eventually(() => box.calls.includes('confirm'));
    await assert.rejects(look(), { reason: 'NODE_DOWN' });
    box.away = false;
    assert.deepEqual(await look(), [['d', 'e'], 0]);
    assert.deepEqual(door.takeNews(), []);
  });

  it('tells once what was taken back after its client had read it, and what it could not confirm any more', async () => {
    box.cancelled.push('a');
    door.confirm(['a', 'b', 'gone']);
    await look();
    const news = door.takeNews();
    assert.deepEqual(
      news.map((line) => line.split(',')[0]),
      ['a', 'gone'],
    );
    assert.deepEqual(door.takeNews(), []);
  });

  it('holds what is being written for as long as that takes, then confirms it', async () => {
    let settle: (written: boolean) => void = () => undefined;
    showing(door, { settled: (told) => (settle = told) }, ['a', 'b'], PACE);
    await eventually(() => box.held.length > 2);
    settle(true);
    await eventually(() => box.mail.length === 3);
    box.heldIds.length = 0;
    showing(door, { settled: () => undefined }, ['c'], PACE);
    await eventually(() => box.heldIds.length > 4);
    assert.ok(box.heldIds.filter((id) => id === 'a').length <= 1, 'one may have been under way');
    assert.deepEqual(new Set(box.held), new Set([5000]));
  });

  it('gives back at once what could not be written, also when it ends itself', async () => {
    showing(door, { settled: (told) => told(false) }, ['a'], PACE);
    await door.close();
    assert.deepEqual([box.held, box.mail.length], [[0], 5]);
  });

  it('stops holding after its time', async () => {
    showing(door, { settled: () => undefined }, ['a'], { ...PACE, showMs: 0 });
    showing(door, { settled: () => undefined }, ['b'], PACE);
    await eventually(() => box.heldIds.length > 2);
    assert.ok(!box.heldIds.includes('a'));
  });

  it('asks the node each time who it is, so that a token that was revoked is good for nothing', async () => {
    assert.equal((await door.self()).id, 'a_1');
    box.revoked = true;
    await assert.rejects(door.self(), { reason: 'TOKEN_INVALID' });
  });
});
