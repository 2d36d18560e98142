/**
 * Goal: a node heeds what recipients and routers say of how much they take, and nobody else; the rest of its mail goes on.
 * Method: a real node on a real nats-server, frames and receipts as other nodes would publish them, and what reaches ingress.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Priority } from '@fleetwire/gen/message';
import { type Agent, SyncResponse } from '@fleetwire/gen/registry';
import { pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { agentToken } from '../src/agents/agent-token.ts';
import { outgoing, refusalOf } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { conclude, say, wordOf } from './frames.ts';
import { TestNode, TestSession } from './test-node.ts';

const FAR = 'n_far0000000000000';
const OTHER = 'n_other00000000000';
const SETTINGS = {
  outbox_messages: '40',
  outbox_recipient_messages: '20',
  busy_max_ms: '20000',
  credit_lapse_ms: '20000',
};
const LONG_MS = 60_000;

describe('a node that sends to busy recipients', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  let bob: Agent;
  let dan: Agent;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = new TestNode(hub, 'left', SETTINGS);
    for (const [id, name] of [
      [FAR, 'far'],
      [OTHER, 'other'],
    ] as const)
      hub.nodes.set(id, { id, name, publicKey: '', former: '' });
    bob = hub.newAgent(FAR, 'Bob');
    dan = hub.newAgent(OTHER, 'dan');
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i));
  const heldBack = async () => (await node.client().nodeStatus({})).heldBack;
  const busy = (agent: Agent, retryAfterMs = LONG_MS) => ({
    busy: { ...wordOf(agent, 'far'), reason: 'queue_full', retryAfterMs, queueDepth: 9 },
  });
  const ready = (agent: Agent, credits: number) => ({ ready: { ...wordOf(agent, 'far'), credits } });
  /** Ids of what was sent to whom, as accepted, in order. */
  const idsOf = (session: TestSession, refs: readonly number[]) =>
    refs.map((ref) => session.accepted.get(ref)!);
  const reached = (ids: readonly string[]) => hub.ingress.filter((id) => ids.includes(id));
  const accepted = (session: TestSession, refs: readonly number[]) =>
    eventually(() => refs.every((ref) => session.accepted.has(ref)));
  /** Bob is busy, and the node has heard it: one message is in flight, which is given, and one waits. */
  async function bobIsBusy(alice: TestSession, retryAfterMs = LONG_MS): Promise<string> {
    const refs: number[] = [];
    await eventually(async () => {
      say(hub, node, FAR, busy(bob, retryAfterMs));
      const [ref] = alice.send('bob', ['is it heard?']);
      refs.push(ref!);
      await accepted(alice, refs);
      return (await heldBack()).length > 0;
    });
    return idsOf(alice, refs).at(-2)!;
  }

  /** Besides bob: one message for dan is in flight, and one waits. */
  async function danIsHeldBack(alice: TestSession): Promise<void> {
    await eventually(async () => {
      await accepted(alice, alice.send('dan', ['is it heard?']));
      return (await heldBack()).length === 2;
    });
  }

  it('keeps their mail and lets the rest go, by receipts, credits and time', async () => {
    await (await node.start({ credit_lapse_ms: '300' })).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    const first = await bobIsBusy(alice);
    const refs = [...alice.send('bob', numbers(6)), ...alice.send('dan', numbers(5))];
    await accepted(alice, refs);
    const ids = idsOf(alice, refs);
    await eventually(() => reached(ids.slice(6)).length === 5);
    assert.deepEqual(await heldBack(), [{ to: 'Bob', reason: 'queue_full', waiting: 7, credits: 0 }]);
    assert.deepEqual(reached(ids.slice(0, 6)), []);
    conclude(hub, node, FAR, [first]);
    await eventually(async () => (await heldBack())[0]?.waiting === 6);
    say(hub, node, FAR, ready(bob, 2));
    await eventually(() => reached(ids).length === 5 + 2);
    await eventually(() => reached(ids).length === 11);
    assert.deepEqual(reached(ids.slice(0, 6)), ids.slice(0, 6));
    assert.deepEqual(await heldBack(), []);
  });

  it('goes on by itself when a BUSY lapses', async () => {
    await (await node.start({ credit_lapse_ms: '100' })).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    await bobIsBusy(alice, 1000);
    const refs = alice.send('bob', numbers(10));
    await accepted(alice, refs);
    await eventually(() => reached(idsOf(alice, refs)).length === 10);
    assert.deepEqual(reached(idsOf(alice, refs)), idsOf(alice, refs));
    await eventually(async () => (await node.client().nodeStatus({})).outboxDepth === 0);
  });

  it('does not heed who has no say in it', async () => {
    await (await node.start()).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    say(hub, node, OTHER, busy(bob));
    say(hub, node, 'delivery', busy(bob));
    say(hub, node, FAR, { busy: { ...busy(bob).busy, agent: '', reason: 'rate_limited' } });
    say(hub, node, FAR, { busy: { ...busy(dan).busy, node: FAR, retryAfterMs: 0 } });
    // Heard after the others: the same subscription.
    await bobIsBusy(alice);
    const refs = alice.send('dan', numbers(5));
    await accepted(alice, refs);
    await eventually(() => reached(idsOf(alice, refs)).length === 5);
    say(hub, node, OTHER, ready(bob, 100));
    say(hub, node, 'router', busy(dan));
    await danIsHeldBack(alice);
    assert.equal((await heldBack()).find(({ to }) => to === 'Bob')?.credits, 0);
  });

  it('does not heed a node that speaks of an agent which lives elsewhere', async () => {
    hub.syncRevision = 7;
    const agents = [{ agent: dan.id, name: 'dan', node: OTHER, nodeName: 'other' }];
    hub.sync = () => SyncResponse.fromPartial({ full: true, revision: 7, agents });
    await (await node.start({ heartbeat_ms: '50' })).active();
    await eventually(async () => (await node.client().directory({})).current);
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    say(hub, node, FAR, { busy: { ...busy(dan).busy, node: FAR } });
    say(hub, node, FAR, { busy: { ...busy(dan).busy, agent: bob.id, node: FAR } });
    // Heard after the others: the same subscription.
    await bobIsBusy(alice);
    const refs = alice.send('dan', numbers(5));
    await accepted(alice, refs);
    await eventually(() => reached(idsOf(alice, refs)).length === 5);
    say(hub, node, OTHER, busy(dan));
    await danIsHeldBack(alice);
  });

  it('slows down as a whole when a router says so', async () => {
    await (await node.start()).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    await bobIsBusy(alice);
    say(hub, node, 'router', { busy: { agent: '', reason: 'rate_limited', retryAfterMs: LONG_MS, seq: 1 } });
    await eventually(async () => (await heldBack())[0]?.to === '*');
    const refs = alice.send('dan', numbers(5));
    await accepted(alice, refs);
    const ids = idsOf(alice, refs);
    for (let sent = 1; sent <= 5; sent++) {
      await eventually(
        async () =>
          reached(ids).length === sent && (await node.client().nodeStatus({})).outboxDepth === 6 - sent,
      );
      assert.equal((await heldBack())[0]?.reason, 'rate_limited');
      conclude(hub, node, 'router', [ids[sent - 1]!]);
    }
    assert.deepEqual(reached(ids), ids);
  });

  it('sends nothing at all, system mail included, while a router says stop; then all of it in order', async () => {
    await (await node.start()).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    const stop = { agent: '', reason: 'ingress_budget', retryAfterMs: 3000 };
    // Until it is heard: the subscription may come after the node is active.
    await eventually(async () => {
      say(hub, node, 'router', { busy: { ...stop, retryAfterMs: 50, seq: 1 } });
      await accepted(alice, alice.send('dan', ['is it heard?']));
      return (await heldBack()).length > 0;
    });
    await eventually(async () => (await node.client().nodeStatus({})).outboxDepth === 0);
    say(hub, node, 'router', { busy: { ...stop, seq: 2 } });
    const saidMs = performance.now();
    await eventually(async () => {
      await accepted(alice, alice.send('dan', ['is it heard?']));
      return (await heldBack()).length > 0;
    });
    const refs = alice.send('dan', numbers(10));
    const [system] = alice.send('dan', ['x'], { priority: Priority.SYSTEM });
    await accepted(alice, [...refs, system!]);
    const before = hub.ingress.length;
    // A later word that asks for less changes nothing.
    say(hub, node, 'router', { busy: { ...stop, reason: 'rate_limited', seq: 3 } });
    await pause(1000);
    assert.deepEqual(
      (await heldBack()).map(({ to, reason, waiting }) => [to, reason, waiting >= 11]),
      [['*', 'ingress_budget', true]],
    );
    assert.equal(hub.ingress.length, before);
    const ids = idsOf(alice, refs);
    await eventually(() => reached([...ids, alice.accepted.get(system!)!]).length === 11);
    assert.ok(performance.now() - saidMs >= 2900);
    assert.deepEqual(reached(ids), ids);
    await eventually(async () => (await node.client().nodeStatus({})).outboxDepth === 0);
  });

  it('refuses what is too much for one recipient, and nothing else, also within one batch', async () => {
    await (await node.start()).active();
    const client = node.client();
    const alice = await TestSession.open(client, { name: 'alice' });
    await bobIsBusy(alice);
    const fill = alice.send('bob', numbers(19));
    await accepted(alice, fill);
    const error = await refusalOf(() => client.send({ from: 'alice', message: outgoing('Bob@far') }));
    assert.deepEqual([error.kind, error.reason], ['resource_exhausted', 'RECIPIENT_BUSY']);
    assert.deepEqual(error.details['to'], 'Bob');
    assert.equal(error.details['waiting'], '20');
    assert.ok(error.retryAfterMs! > 1000);
    const started = performance.now();
    const mixed = ['bob', 'dan', 'app:bob', 'dan'].map((to) => ({ ...outgoing(to), to }));
    const refs = alice.sendAll(mixed);
    await eventually(() => refs.every((ref) => alice.accepted.has(ref) || alice.refused.has(ref)));
    assert.deepEqual(
      refs.map((ref) => alice.refused.get(ref)),
      ['RECIPIENT_BUSY', undefined, 'RECIPIENT_BUSY', undefined],
    );
    await eventually(() => reached(idsOf(alice, [refs[1]!, refs[3]!])).length === 2);
    assert.ok(performance.now() - started < 20_000);
  });

  it('keeps what waits over a kill, and sends each message', async () => {
    await (await node.spawn()).active();
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    await bobIsBusy(alice);
    const refs = [...alice.send('bob', numbers(8)), ...alice.send('dan', numbers(8))];
    await accepted(alice, refs);
    const ids = idsOf(alice, refs);
    await eventually(() => reached(ids.slice(8)).length === 8);
    await node.kill();
    await (await node.spawn()).active();
    await eventually(() => new Set(reached(ids)).size === 16);
    const firsts = [...new Set(reached(ids.slice(0, 8)))];
    assert.deepEqual(firsts, ids.slice(0, 8));
  });

  it('lets only who runs it use the highest priority, by each door', async () => {
    await (await node.start()).active();
    const system = { priority: Priority.SYSTEM };
    const admin = await TestSession.open(node.client(), { name: 'alice' });
    const identity = JSON.parse(readFileSync(join(node.folder.path, 'identity.json'), 'utf8'));
    const localId = hub.agents.get('alice')!.id;
    const own = node.client(agentToken(identity.agentSecret, { localId, tokenEpoch: 1 }));
    const send = (client: typeof own, priority: Priority) =>
      client.send({ from: '', message: outgoing('dan', 'x', { priority }) });
    for (const [priority, reason] of [
      [Priority.SYSTEM, 'PRIORITY_NOT_ALLOWED'],
      [5 as Priority, 'INVALID_MESSAGE'],
    ] as const)
      assert.equal((await refusalOf(() => send(own, priority))).reason, reason);
    await send(own, Priority.HIGH);
    const [may] = admin.send('dan', ['x'], system);
    await eventually(() => admin.accepted.has(may!));
    const session = await TestSession.open(own, { name: 'alice' });
    const [no, odd, high] = [
      session.send('dan', ['x'], system),
      session.send('dan', ['x'], { priority: 17 as Priority }),
      session.send('dan', ['x'], { priority: Priority.HIGH }),
    ].map(([ref]) => ref!);
    await eventually(() => session.accepted.has(high!));
    assert.deepEqual(
      [no, odd].map((ref) => session.refused.get(ref!)),
      ['PRIORITY_NOT_ALLOWED', 'INVALID_MESSAGE'],
    );
  });
});
