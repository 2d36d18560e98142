/**
 * Goal: an agent's mail follows it to its new node, in order and once, whatever becomes of the old one; mail of an agent that
 * is gone goes back; and nobody moves what is not theirs.
 * Method: replicas of the registry on a real server and PostgreSQL; routers and nodes are stand-ins in the test's hands; what
 * the inbox of the new node holds in the end is compared with what was put into the old one.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { completeReceipt, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import {
  Envelope,
  type FlushRequest,
  type InboxEntry,
  InboxPack,
  type Receipt,
  ReceiptBatch,
  Stage,
} from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import { newMessageId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { noteReturn } from '../src/store/moves.ts';
import {
  beatAs,
  type RegistryWorld,
  reasonOf,
  registered,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';
import { entry } from './mail-sample.ts';
import { inboxOf, standInRouter, waitingAt } from './moving-rig.ts';

const SETTINGS = {
  move_ms: 50,
  move_flush_ms: 300,
  move_opening_ms: 500,
  sweep_ms: 100,
  flush_ms: 20,
  heartbeats_burst: 10_000,
};
const NEVER = 9_000_000_000_000_000;

describe('moving agents', function () {
  this.timeout(60_000);
  let world: RegistryWorld;
  let service: RunningService;
  let store: Store;
  let broker: Broker;
  let names = 0;
  const cleanUp: (() => Promise<void> | void)[] = [];

  before(async () => {
    world = await startRegistryWorld();
    service = await world.start(SETTINGS);
    store = await world.store();
    broker = await world.broker();
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0)) await clean();
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** Of one owner and the newest protocol unless told. */
  async function node(over: { owner?: string; protocol?: number; org?: string } = {}): Promise<TestNode> {
    const made = await world.node(service, `node-${++names}`, over.org);
    await store.query('update nodes set owner = $2, protocol = $3 where id = $1', [
      made.id,
      over.owner ?? 'u_owner',
      over.protocol ?? 2,
    ]);
    return made;
  }
  const away = (node: TestNode) =>
    store.query('update nodes set left_at_ms = $2 where id = $1', [node.id, NEVER]);
  const back = (node: TestNode) => store.query('update nodes set left_at_ms = 0 where id = $1', [node.id]);
  const movable = (agent: Agent) => store.query('update agents set movable = true where id = $1', [agent.id]);
  const agentOn = (node: TestNode) => registered(node, `agent-${++names}`);
  const admin = () => world.asUser(service, ['admin']);
  const stateOf = async (agent: Agent) =>
    (
      await store.query<{ state: string }>('select state from moves where agent = $1 order by epoch desc', [
        agent.id,
      ])
    )[0]?.state;
  const reaches = (agent: Agent, state: string) => eventually(async () => (await stateOf(agent)) === state);
  const moveOf = async (agent: Agent) =>
    (
      await store.query<{ epoch: number }>('select epoch from moves where agent = $1 order by epoch desc', [
        agent.id,
      ])
    )[0]!;

  async function router(flushed: (asked: FlushRequest) => boolean): Promise<{ asked: FlushRequest[] }> {
    const { asked, stop } = await standInRouter(broker, `router-${++names}`, flushed);
    cleanUp.push(stop);
    return { asked };
  }

  const put = (node: TestNode, agent: Agent, ...texts: string[]) =>
    broker.store(
      inboxOf(node, agent),
      encode(InboxPack, { entries: texts.map((text) => entry(agent, node, text)), mark: undefined }),
      { msgId: newMessageId() },
    );

  const waiting = (node: TestNode, agent: Agent) => waitingAt(broker, inboxOf(node, agent));

  it('moves only for an admin, within the org, to a node that takes agents and knows of moves', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    const sender = await world.asUser(service, ['send']);
    const ask = async (toNode: string) => reasonOf((await admin()).moveAgent({ agent: agent.id, toNode }));
    assert.equal(await reasonOf(sender.moveAgent({ agent: agent.id, toNode: to.id })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(from.client.moveAgent({ agent: agent.id, toNode: to.id })), 'SCOPE_MISSING');
    const foreign = await node({ org: world.orgs[1] });
    assert.equal(await ask(foreign.id), 'NODE_UNKNOWN');
    assert.equal(await ask('nowhere'), 'NODE_UNKNOWN');
    assert.equal(await ask((await node({ protocol: 1 })).id), 'NODE_TOO_OLD');
    const gone = await node();
    await away(gone);
    assert.equal(await ask(gone.id), 'NODE_OFFLINE');
    await store.query('update nodes set draining = true where id = $1', [to.id]);
    assert.equal(await ask(to.name), 'NODE_DRAINING');
    assert.equal(await stateOf(agent), undefined);
    assert.equal(
      (await (await admin()).moveAgent({ agent: agent.name, toNode: from.name })).agent!.node,
      from.id,
    );
  });

  it('announces, waits for every router, lets the old node hand over, and ends with a mark', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    let flushed = false;
    const slow = await router(() => flushed);
    const moved = (await (await admin()).moveAgent({ agent: agent.id, toNode: to.name })).agent!;
    assert.deepEqual([moved.id, moved.node, moved.moving], [agent.id, to.id, true]);
    const route = async () => (await world.route(agent.id))!;
    assert.equal((await route()).movingFrom, from.id);
    const { epoch } = await moveOf(agent);
    assert.ok((await route()).epoch > epoch, 'the route is later than the name of the move');
    assert.equal(
      await reasonOf((await admin()).moveAgent({ agent: agent.id, toNode: from.id })),
      'MOVE_UNDER_WAY',
    );
    await eventually(() => slow.asked.length > 2);
    const asked = slow.asked.at(-1)!;
    assert.deepEqual([asked.agent, asked.epoch, asked.subject], [agent.id, epoch, inboxOf(from, agent)]);
    assert.equal(await stateOf(agent), 'routers');
    await put(from, agent, 'in the stream');
    await put(to, agent, 'direct');
    flushed = true;
    await reaches(agent, 'handover');
    assert.deepEqual(await waiting(from, agent), ['in the stream', 'end']);
    const connected = await world.nodeBroker(from);
    const told = await eventually(async () => {
      const { moving } = await beatAs(connected, from, from.welcome.org, { instance: '' });
      return moving.length > 0 ? moving : undefined;
    });
    assert.deepEqual(told, [{ agent: agent.id, epoch }]);
    // What a node would do: first its own queue, then what came by the stream, until the mark.
    const batch = { agent: agent.id, epoch, entries: [entry(agent, from, 'held')], done: false };
    await from.client.handOver(batch);
    await from.client.handOver(batch);
    assert.equal(await reasonOf(to.client.handOver(batch)), 'MOVE_UNKNOWN');
    assert.equal(await reasonOf(from.client.handOver({ ...batch, epoch: epoch + 1000 })), 'MOVE_UNKNOWN');
    await from.client.handOver({ ...batch, entries: [entry(agent, from, 'in the stream')] });
    await from.client.handOver({ ...batch, entries: [], done: true });
    await reaches(agent, 'done');
    assert.deepEqual(await waiting(to, agent), [
      `begin ${agent.name} stream`,
      'direct',
      'held+',
      'in the stream+',
      'end',
    ]);
    await eventually(async () => (await route()).movingFrom === '');
    assert.equal((await (await admin()).lookupAgent({ name: agent.name })).agent!.moving, false);
  });

  it('keeps an agent of which its new node does not know yet, and takes its word once it does', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    const there = async () =>
      (await store.query('select from agents where id = $1 and node = $2', [agent.id, to.id])).length === 1;
    // Its roster may be older than the mark, or the answer to a heartbeat that was quicker.
    await to.client.syncRoster({ agents: [] });
    assert.equal(await there(), true, 'under way');
    await reaches(agent, 'handover');
    await from.client.handOver({ ...(await moveOf(agent)), agent: agent.id, entries: [], done: true });
    await reaches(agent, 'done');
    await to.client.syncRoster({ agents: [] });
    assert.equal(await there(), true, 'it may have been away since');
    await to.client.syncRoster({ agents: [], removed: [agent.id] });
    assert.equal(await there(), false, 'it had it');
  });

  it('waits for an old node that is away, and takes what it has when it is back', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    await away(from);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await reaches(agent, 'waiting');
    await put(from, agent, 'one');
    await back(from);
    await reaches(agent, 'handover');
    assert.deepEqual(await waiting(from, agent), ['one', 'end']);
  });

  it('moves what waits in the broker once the old node is lost; what comes late follows', async () => {
    const other = await world.start({ ...SETTINGS, move_lost_ms: 100 });
    await service.stop();
    service = other;
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    for (const texts of [['one', 'two'], ['three']]) await put(from, agent, ...texts);
    await away(from);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await reaches(agent, 'over');
    await put(to, agent, 'direct');
    assert.deepEqual(await waiting(from, agent), []);
    await put(from, agent, 'late');
    await eventually(async () => (await waiting(from, agent)).length === 0);
    assert.deepEqual(await waiting(to, agent), [
      `begin ${agent.name} stream`,
      'one+',
      'two+',
      'three+',
      'end',
      'direct',
      'late+',
    ]);
    const { epoch } = await moveOf(agent);
    const batch = { agent: agent.id, epoch, entries: [entry(agent, from, 'held')], done: false };
    assert.equal(await reasonOf(from.client.handOver(batch)), 'MOVE_OVER');
  });

  it('moves what an earlier move had brought before what came directly', async () => {
    const [a, b, c] = [await node(), await node(), await node()];
    const agent = await agentOn(a);
    await put(a, agent, 'first');
    await away(a);
    const moved = (await admin()).moveAgent;
    let flushed = false;
    await router(() => flushed);
    await moved({ agent: agent.id, toNode: b.id });
    await put(b, agent, 'second');
    flushed = true;
    await reaches(agent, 'over');
    assert.deepEqual(await waiting(b, agent), [`begin ${agent.name} stream`, 'second', 'first+', 'end']);
    await away(b);
    await moved({ agent: agent.id, toNode: c.id });
    await reaches(agent, 'over');
    assert.deepEqual(await waiting(b, agent), []);
    assert.deepEqual(await waiting(c, agent), [`begin ${agent.name} stream`, 'first+', 'second+', 'end']);
  });

  it('lets a node of the same owner take over what is movable while its node is away or draining', async () => {
    const [from, to, stranger] = [await node(), await node(), await node({ owner: 'u_other' })];
    const agent = await agentOn(from);
    const take = (by: TestNode) =>
      by.client.registerAgent({ name: agent.name, adapter: 'mailbox', takeOver: true });
    await movable(agent);
    assert.equal(await reasonOf(take(to)), 'NAME_TAKEN', 'its node is there');
    await away(from);
    assert.equal(await reasonOf(take(stranger)), 'NAME_TAKEN');
    assert.equal(
      await reasonOf(to.client.registerAgent({ name: agent.name, adapter: 'stream' })),
      'NAME_TAKEN',
    );
    await store.query('update agents set movable = false where id = $1', [agent.id]);
    assert.equal(await reasonOf(take(to)), 'NAME_TAKEN');
    await movable(agent);
    const taken = (await take(to)).agent!;
    assert.deepEqual([taken.id, taken.node, taken.adapter], [agent.id, to.id, 'mailbox']);
    assert.equal((await waiting(to, agent))[0], `begin ${agent.name} mailbox`);
    assert.equal((await take(to)).agent!.id, agent.id, 'again, as after a lost answer');
    const draining = await agentOn(stranger);
    await movable(draining);
    await store.query('update nodes set draining = true, owner = $2 where id = $1', [stranger.id, 'u_owner']);
    const second = await to.client.registerAgent({ name: draining.name, adapter: 'stream', takeOver: true });
    assert.equal(second.agent!.node, to.id);
  });

  it('returns the mail of an agent that is gone, with the reason, also when it was on its way', async () => {
    const [from, to, sender] = [await node(), await node(), await node()];
    const [removed, onTheWay] = [await agentOn(from), await agentOn(from)];
    const remove = (agent: Agent, at: TestNode) =>
      store.transaction(async ({ query }) => {
        await query('delete from agents where id = $1', [agent.id]);
        const leaving = { id: agent.id, org: at.welcome.org, node: at.id, shard: 0 };
        await noteReturn(query, [leaving], 'agent_swept', Date.now());
      });
    const mail = [
      entry(removed, sender, 'one'),
      entry(onTheWay, sender, 'two'),
      entry(onTheWay, sender, 'three'),
    ];
    const store1 = (at: TestNode, agent: Agent, one: InboxEntry) =>
      broker.store(inboxOf(at, agent), encode(InboxPack, { entries: [one], mark: undefined }), {
        msgId: newMessageId(),
      });
    await store1(from, removed, mail[0]!);
    await remove(removed, from);
    await away(from);
    await router(() => false);
    await (await admin()).moveAgent({ agent: onTheWay.id, toNode: to.id });
    await store1(from, onTheWay, mail[1]!);
    await store1(to, onTheWay, mail[2]!);
    await remove(onTheWay, to);
    for (const clean of cleanUp.splice(0)) await clean();
    const subject = receiptSubject.build({ org: sender.welcome.org, toNode: sender.id, from: 'registry' });
    const receipts: Receipt[] = await eventually(async () => {
      const found: Receipt[] = [];
      for (let from = 1; ; ) {
        const message = await broker.messages.nextBySubject('RECEIPTS', subject, from);
        if (message === undefined) break;
        from = message.sequence + 1;
        found.push(...ReceiptBatch.decode(message.data).receipts.map((r) => completeReceipt(r, 'registry')));
      }
      return found.length >= 3 ? found : undefined;
    });
    assert.deepEqual(
      new Set(
        receipts.map((r) => `${r.messageId} ${r.reason} ${r.stage} ${r.final} ${r.hops.at(-1)!.service}`),
      ),
      new Set([
        `${Envelope.decode(mail[0]!.envelope).id} AGENT_SWEPT ${Stage.RETURNED} true registry`,
        `${Envelope.decode(mail[1]!.envelope).id} AGENT_REMOVED ${Stage.RETURNED} true registry`,
        `${Envelope.decode(mail[2]!.envelope).id} AGENT_SWEPT ${Stage.RETURNED} true registry`,
      ]),
    );
    assert.deepEqual([await waiting(from, removed), await waiting(from, onTheWay)], [[], []]);
    await eventually(async () => (await waiting(to, onTheWay)).length === 0);
  });

  it('is carried on by another replica, and given up when whoever began it died before anything moved', async () => {
    const [from, to] = [await node(), await node()];
    const [agent, halfway] = [await agentOn(from), await agentOn(from)];
    let flushed = false;
    await router(() => flushed);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await store.query(
      `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason,
         state, started_at_ms, changed_at_ms)
       values ($1, nextval('route_epochs'), $2, $3, 0, $4, 0, 'asked', 'opening', 0, 0)`,
      [halfway.id, from.welcome.org, from.id, to.id],
    );
    const other = await world.start(SETTINGS);
    await service.stop();
    service = other;
    flushed = true;
    await reaches(agent, 'handover');
    await eventually(async () => (await stateOf(halfway)) === undefined);
    // The node that it was announced to does not wait for it for ever.
    assert.deepEqual(await waiting(to, halfway), ['end']);
    const kept = (await (await admin()).lookupAgent({ name: halfway.name })).agent!;
    assert.deepEqual([kept.node, kept.moving], [from.id, false]);
  });

  /** As if it had moved so before. */
  const noted = (agent: Agent, from: TestNode, to: TestNode, state: string) =>
    store.query(
      `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason,
         state, started_at_ms, changed_at_ms)
       values ($1, nextval('route_epochs'), $2, $3, 0, $4, 0, 'asked', $5, 0, (extract(epoch from now()) * 1000)::bigint)`,
      [agent.id, from.welcome.org, from.id, to.id, state],
    );

  it('leaves to a later move what waits at a place that an earlier one had left too', async () => {
    const [from, to] = [await node(), await node()];
    const [again, once] = [await agentOn(to), await agentOn(to)];
    await away(from);
    await noted(again, from, to, 'done');
    await noted(again, from, to, 'waiting');
    await noted(once, from, to, 'done');
    for (const agent of [again, once]) await put(from, agent, 'waits');
    // Looked at one after the other.
    await eventually(async () => (await waiting(to, once)).length === 1);
    assert.deepEqual([await waiting(from, again), await waiting(to, again)], [['waits'], []]);
  });

  it('looks at all moves in turn, however many wait for nodes that are away', async () => {
    const other = await world.start({ ...SETTINGS, moves_max: 1 });
    await service.stop();
    service = other;
    const [gone, from, to] = [await node(), await node(), await node()];
    const [waits, goes] = [await agentOn(gone), await agentOn(from)];
    await away(gone);
    for (const agent of [waits, goes]) await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await reaches(goes, 'handover');
    await reaches(waits, 'waiting');
  });

  it('looks for late mail at all places that were left lately, however many', async () => {
    const other = await world.start({ ...SETTINGS, move_lost_ms: 100, moves_max: 1 });
    await service.stop();
    service = other;
    const [gone, to] = [await node(), await node()];
    const agents = [await agentOn(gone), await agentOn(gone), await agentOn(gone)];
    await away(gone);
    for (const agent of agents) {
      await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
      await reaches(agent, 'over');
      await put(gone, agent, 'late');
    }
    for (const agent of agents)
      await eventually(async () => (await waiting(to, agent)).includes('late+'), { timeoutMs: 45_000 });
  });
});
