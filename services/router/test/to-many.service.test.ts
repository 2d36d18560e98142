/**
 * Goal: through a real router on a real server a message to many becomes one entry for each node, its sender is told how many
 * there are, and nobody who has to get it or to hear of it is left out.
 * Method: routes and packs as registry and nodes write them; then the streams are read.
 */

import assert from 'node:assert/strict';
import { inboxSubject, MANY } from '@fleetwire/contract';
import { ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import { Fabric } from './fabric.ts';
import { idOf, NODE, nodeRoute, ORG } from './samples.ts';

const manyOf = (node: string) => inboxSubject.build({ shard: 0, org: ORG, node, agent: MANY });
const LAPTOP = manyOf('n_laptop');
const TOWER = manyOf('n_tower');

describe('messages to many on a real server', function () {
  this.timeout(90_000);
  let fabric: Fabric;

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(fabric.log.slice(-25).join(''));
    await fabric[Symbol.asyncDispose]();
  });

  async function fleet(inboxBound?: number): Promise<void> {
    fabric = await Fabric.start(inboxBound === undefined ? { partitions: 1 } : { partitions: 1, inboxBound });
    for (const node of ['n_laptop', 'n_tower']) await fabric.node(nodeRoute(node));
    const tower = { node: 'n_tower', nodeName: 'tower' };
    await fabric.agent('alice', { project: 'app' });
    await fabric.agent('bob');
    await fabric.agent('carol', { ...tower, project: 'app' });
    await fabric.agent('dave', tower);
    await fabric.channel('ops', ['alice', 'bob', 'carol']);
    await fabric.channel('team', ['alice', 'dave'], true);
    await fabric.channel('quiet', ['bob']);
    await fabric.router('one');
  }

  const receipts = async () =>
    (await fabric.stream('RECEIPTS')).flatMap(({ data }) => ReceiptBatch.decode(data).receipts);
  const send = (to: readonly string[], fromAgent = 'a_sender0000000000') =>
    fabric.send(
      0,
      NODE,
      to.map((each, i) => ({ id: idOf(i + 1), to: each, fromAgent })),
    );
  /** What has arrived of one message: its recipients by subject. */
  const found = async (n: number) =>
    Object.fromEntries(
      (await fabric.inbox())
        .filter(({ id }) => id === idOf(n))
        .map(({ subject, recipients }) => [subject, [...recipients].sort()]),
    );

  it('go to each node once, with its recipients, and never to the sender', async () => {
    await fleet();
    await send(['#ops', '%team', '*', '*@tower', 'app:*', 'app:carol'], 'a_bob');
    await eventually(async () => (await fabric.inbox()).length === 10 && (await receipts()).length === 5);
    const expected = [
      { [LAPTOP]: ['a_alice'], [TOWER]: ['a_carol'] },
      { [LAPTOP]: ['a_alice'], [TOWER]: ['a_dave'] },
      { [LAPTOP]: ['a_alice'], [TOWER]: ['a_carol', 'a_dave'] },
      { [TOWER]: ['a_carol', 'a_dave'] },
      { [LAPTOP]: ['a_alice'], [TOWER]: ['a_carol'] },
    ];
    for (const [i, each] of expected.entries())
      assert.deepEqual(await found(i + 1), each, `message ${i + 1}`);
    // Mail to one of them goes behind what is under way to many of its node, or by itself once nothing is.
    const direct = Object.entries(await found(6));
    assert.deepEqual(
      direct.map(([, recipients]) => recipients),
      [['a_carol']],
    );
    const said = (await receipts()).map((r) => [r.messageId, r.recipient, r.stage, r.final, r.fanOut]);
    const counts = [2, 2, 3, 2, 2].map((count, i) => [idOf(i + 1), '', Stage.ROUTED, false, count]);
    assert.deepEqual(said, counts);
    assert.deepEqual(await fabric.stream('DEAD'), []);
  });

  it('leave out a node that has served its own agents', async () => {
    await fleet();
    const from = { fromAgent: 'a_bob', localServed: true };
    await fabric.send(0, 'n_laptop', [
      { ...from, id: idOf(1), to: '#ops' },
      { ...from, id: idOf(2), to: '*@laptop' },
    ]);
    await eventually(async () => (await receipts()).length === 2);
    assert.deepEqual(
      (await receipts()).map((r) => [r.stage, r.fanOut]),
      [
        [Stage.ROUTED, 1],
        [Stage.ROUTED, 0],
      ],
    );
    await eventually(async () => (await fabric.inbox()).length > 0);
    assert.deepEqual(await found(1), { [TOWER]: ['a_carol'] });
    assert.deepEqual(await found(2), {});
  });

  it('are refused with a reason, and what may have been meant, where they mean nobody', async () => {
    await fleet();
    const refused = ['#opps', '%taem', '*@towr', 'apq:*', '#quiet', 'web:alice'];
    await send(refused, 'a_bob');
    const told = await eventually(async () => {
      const all = await receipts();
      return all.length === refused.length ? all : undefined;
    });
    assert.deepEqual(
      told.map(({ reason, detail }) => [reason, detail.split('did you mean ')[1] ?? '']),
      [
        ['UNKNOWN_CHANNEL', '#ops?'],
        ['UNKNOWN_GROUP', '%team?'],
        ['UNKNOWN_NODE', '*@tower?'],
        ['UNKNOWN_PROJECT', 'app:*?'],
        ['NO_RECIPIENTS', ''],
        ['UNKNOWN_AGENT', 'app:alice?'],
      ],
    );
    assert.ok(told.every(({ final, stage, recipient }) => final && stage === Stage.DEAD && recipient === ''));
    assert.deepEqual(await fabric.inbox(), []);
  });

  it('come back for each recipient of a node whose bound is reached, and reach the others', async () => {
    await fleet(1);
    await send(['*']);
    await eventually(async () => (await fabric.inbox()).length === 2);
    await fabric.broker.messages.deleteMessage('INBOX', await sequenceOf(TOWER));
    await fabric.send(0, NODE, [{ id: idOf(2), to: '*' }]);
    const back = await eventually(async () => {
      const all = (await receipts()).filter(({ stage }) => stage === Stage.RETURNED);
      return all.length === 2 ? all : undefined;
    });
    const said = back.map((r) => `${r.messageId} ${r.recipient} ${r.recipientName} ${r.reason} ${r.final}`);
    assert.deepEqual(
      new Set(said),
      new Set([`${idOf(2)} a_alice alice INBOX_FULL true`, `${idOf(2)} a_bob bob INBOX_FULL true`]),
    );
    await eventually(
      async () => (await fabric.broker.messages.nextBySubject('INBOX', TOWER, 1)) !== undefined,
    );
  });

  it('to 1,000 members on 10 nodes cost 10 entries', async () => {
    fabric = await Fabric.start({ partitions: 1 });
    const names = Array.from({ length: 1000 }, (_, i) => `m${i}`);
    await Promise.all(
      names.map((name, i) => fabric.agent(name, { node: `n_${i % 10}`, nodeName: `node-${i % 10}` })),
    );
    await fabric.channel('all', names);
    await fabric.router('one');
    await send(['#all']);
    await eventually(async () => (await receipts()).length === 1 && (await fabric.inbox()).length === 10);
    const arrived = await fabric.inbox();
    assert.equal((await receipts())[0]!.fanOut, 1000);
    assert.equal(new Set(arrived.flatMap(({ recipients }) => recipients)).size, 1000);
    assert.equal(new Set(arrived.map(({ subject }) => subject)).size, 10);
    assert.ok(arrived.some(({ subject }) => subject === manyOf('n_0')));
  });

  async function sequenceOf(subject: string): Promise<number> {
    return (await fabric.broker.messages.nextBySubject('INBOX', subject, 1))!.sequence;
  }
});
