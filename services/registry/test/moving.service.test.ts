/**
 * Goal: an agent's mail follows it to its new node, in order and once, whatever becomes of the old one; mail of an agent that
 * is gone goes back; and nobody moves what is not theirs.
 * Method: replicas of the registry on a real server and PostgreSQL; routers and nodes are stand-ins in the test's hands; what
 * the inbox of the new node holds in the end is compared with what was put into the old one.
 */

import assert from 'node:assert/strict';
import { completeReceipt, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import {
  Envelope,
  type InboxEntry,
  InboxPack,
  type Receipt,
  ReceiptBatch,
  Stage,
} from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import { newMessageId } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { noteReturn } from '../src/store/moves.ts';
import { beatAs, reasonOf, type TestNode } from './fixture.ts';
import { entry } from './mail-sample.ts';
import { inboxOf, manyOf, movingRig, putForMany, waitingAt } from './moving-rig.ts';

describe('moving agents', function () {
  this.timeout(60_000);
  const rig = movingRig();
  const { node, away, back, movable, agentOn, admin } = rig;
  const { stateOf, reaches, epochOf, restart, router, stopRouters, put, waiting } = rig;

  it('moves only for an admin, within the org, to a node that takes agents and knows of moves', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    const sender = await rig.world().asUser(rig.service(), ['send']);
    const ask = async (toNode: string) => reasonOf((await admin()).moveAgent({ agent: agent.id, toNode }));
    assert.equal(await reasonOf(sender.moveAgent({ agent: agent.id, toNode: to.id })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(from.client.moveAgent({ agent: agent.id, toNode: to.id })), 'SCOPE_MISSING');
    const foreign = await node({ org: rig.world().orgs[1] });
    assert.equal(await ask(foreign.id), 'NODE_UNKNOWN');
    assert.equal(await ask('nowhere'), 'NODE_UNKNOWN');
    assert.equal(await ask((await node({ protocol: 1 })).id), 'NODE_TOO_OLD');
    const gone = await node();
    await away(gone);
    assert.equal(await ask(gone.id), 'NODE_OFFLINE');
    await rig.store().query('update nodes set draining = true where id = $1', [to.id]);
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
    const route = async () => (await rig.world().route(agent.id))!;
    assert.equal((await route()).movingFrom, from.id);
    const epoch = await epochOf(agent);
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
    const connected = await rig.world().nodeBroker(from);
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
      (await rig.store().query('select from agents where id = $1 and node = $2', [agent.id, to.id]))
        .length === 1;
    // Its roster may be older than the mark, or the answer to a heartbeat that was quicker.
    await to.client.syncRoster({ agents: [] });
    assert.equal(await there(), true, 'under way');
    await reaches(agent, 'handover');
    await from.client.handOver({ epoch: await epochOf(agent), agent: agent.id, entries: [], done: true });
    await reaches(agent, 'done');
    await to.client.syncRoster({ agents: [] });
    assert.equal(await there(), true, 'it may have been away since');
    await to.client.syncRoster({ agents: [], removed: [agent.id] });
    assert.equal(await there(), false, 'it had it');
  });

  it('has the old node say once more that it is done, if it was quicker than the move itself', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    let flushed = false;
    await router(() => flushed);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    const done = { agent: agent.id, epoch: await epochOf(agent), entries: [], done: true };
    assert.equal(await reasonOf(from.client.handOver(done)), 'MOVE_UNDER_WAY');
    flushed = true;
    await reaches(agent, 'handover');
    await from.client.handOver(done);
    await reaches(agent, 'done');
    assert.equal(await reasonOf(from.client.handOver(done)), 'none', 'repeated');
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
    await restart({ move_lost_ms: 100 });
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
    const epoch = await epochOf(agent);
    const batch = { agent: agent.id, epoch, entries: [entry(agent, from, 'held')], done: false };
    assert.equal(await reasonOf(from.client.handOver(batch)), 'MOVE_OVER');
  });

  it('moves its share of what waits for several agents of a lost node, in its place, and leaves that of the others', async () => {
    const [from, to] = [await node(), await node()];
    const [agent, other] = [await agentOn(from), await agentOn(from)];
    const many = (agents: readonly Agent[], text: string) => putForMany(rig.broker(), from, agents, text);
    await put(from, agent, 'one');
    await many([other, agent], 'two');
    await many([other], 'not for it');
    await put(from, agent, 'three');
    await many([agent], 'four');
    await away(from);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await reaches(agent, 'over');
    const moved = ['one+', 'two+', 'three+', 'four+'];
    assert.deepEqual(await waiting(to, agent), [`begin ${agent.name} stream`, ...moved, 'end']);
    const subject = inboxOf(to, agent);
    for (let next = 1; ; ) {
      const message = await rig.broker().messages.nextBySubject('INBOX', subject, next);
      if (message === undefined) break;
      next = message.sequence + 1;
      for (const { recipients } of InboxPack.decode(message.data).entries)
        assert.deepEqual(recipients, [agent.id]);
    }
    assert.deepEqual(await waitingAt(rig.broker(), manyOf(from)), ['two', 'not for it', 'four']);
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
    await rig.store().query('update agents set movable = false where id = $1', [agent.id]);
    assert.equal(await reasonOf(take(to)), 'NAME_TAKEN');
    await movable(agent);
    const taken = (await take(to)).agent!;
    assert.deepEqual([taken.id, taken.node, taken.adapter], [agent.id, to.id, 'mailbox']);
    assert.equal((await waiting(to, agent))[0], `begin ${agent.name} mailbox`);
    assert.equal((await take(to)).agent!.id, agent.id, 'again, as after a lost answer');
    const draining = await agentOn(stranger);
    await movable(draining);
    await rig
      .store()
      .query('update nodes set draining = true, owner = $2 where id = $1', [stranger.id, 'u_owner']);
    const second = await to.client.registerAgent({ name: draining.name, adapter: 'stream', takeOver: true });
    assert.equal(second.agent!.node, to.id);
  });

  it('returns the mail of an agent that is gone, with the reason, also when it was on its way', async () => {
    const [from, to, sender] = [await node(), await node(), await node()];
    const [removed, onTheWay] = [await agentOn(from), await agentOn(from)];
    const remove = (agent: Agent, at: TestNode) =>
      rig.store().transaction(async ({ query }) => {
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
      rig.broker().store(inboxOf(at, agent), encode(InboxPack, { entries: [one], mark: undefined }), {
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
    await stopRouters();
    const subject = receiptSubject.build({ org: sender.welcome.org, toNode: sender.id, from: 'registry' });
    const receipts: Receipt[] = await eventually(async () => {
      const found: Receipt[] = [];
      for (let from = 1; ; ) {
        const message = await rig.broker().messages.nextBySubject('RECEIPTS', subject, from);
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
});
