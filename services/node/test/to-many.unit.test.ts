/**
 * Goal: a message to many reaches each agent of its own node that is meant, at once, once, in order with what follows, and
 * never its sender; the hub serves the others, and all of the node where it has to be asked.
 * Method: an engine over a real database file; what the hub has told is given by the test.
 */

import assert from 'node:assert/strict';
import { Envelope, Stage } from '@fleetwire/gen/message';
import { AgentProfile } from '@fleetwire/gen/registry';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { confirmed } from '../src/domain/receipt.ts';
import { sendOnce } from '../src/mail/send-once.ts';
import { addAgent, outgoing, type TestEngine, TestTaker, testEngine } from './engine-fixture.ts';
import { type Known, knowing, onlyTo } from './org-knowledge.ts';

describe('a message to many', () => {
  let test: TestEngine;
  let agents: Record<'alice' | 'bob' | 'carol' | 'dave', HostedAgent>;
  const takers = new Map<string, TestTaker>();

  beforeEach(async () => {
    test = await testEngine();
    takers.clear();
    const all: HostedAgent[] = [];
    for (const name of ['alice', 'bob', 'carol', 'dave']) {
      const agent = await addAgent(test.engine, name);
      takers.set(name, new TestTaker());
      agent.taker = takers.get(name)!;
      all.push(agent);
    }
    const [alice, bob, carol, dave] = all as [HostedAgent, HostedAgent, HostedAgent, HostedAgent];
    agents = { alice, bob, carol, dave };
  });
  afterEach(() => test.close());

  const send = async (to: string, text = to) =>
    (await sendOnce(test.engine, agents.alice, outgoing(to, text))).id;
  const know = (known: Known) => {
    test.engine.knowledge.current = knowing(known);
  };
  const textsOf = (name: string) =>
    takers
      .get(name)!
      .taken.map((entry) => Buffer.from(test.engine.custody.envelopeOf(entry).body).toString());
  const served = () => [...takers.keys()].filter((name) => textsOf(name).length > 0);
  const lastSent = () => {
    const { local, envelope } = test.engine.tables.outbox.load().at(-1)!;
    const { localServed, local: marked, localAgent } = Envelope.decode(envelope);
    return { local, marked, localAgent, localServed };
  };
  const THROUGH_HUB = { local: false, marked: false, localAgent: '', localServed: false };

  it('to all goes to everybody else here at once, also without a hub, and on to the hub for the others', async () => {
    for (const to of ['*', '*:*']) {
      await send(to);
      assert.deepEqual(served(), ['bob', 'carol', 'dave']);
      assert.deepEqual(lastSent(), { ...THROUGH_HUB, localServed: true });
    }
    assert.deepEqual(textsOf('bob'), ['*', '*:*']);
  });

  it('to all of this node stays on it, with a copy for history', async () => {
    await send('*@HERE');
    assert.deepEqual(served(), ['bob', 'carol', 'dave']);
    assert.deepEqual(lastSent(), { local: true, marked: true, localAgent: '', localServed: true });
  });

  it('to another node is nobody’s business here', async () => {
    await send('*@there');
    assert.deepEqual(served(), []);
    assert.deepEqual(lastSent(), THROUGH_HUB);
  });

  it('to a project goes to those who work on it', async () => {
    for (const [name, repo] of [
      ['bob', 'git@host:team/App.git'],
      ['carol', 'https://host/team/other'],
    ] as const)
      agents[name].profile = AgentProfile.fromPartial({ repo });
    await send('app:*');
    assert.deepEqual(served(), ['bob']);
    assert.equal(lastSent().localServed, true);
  });

  it('to a channel or group goes to its members; one that is not known here is left to the hub', async () => {
    know({
      channels: { '#ops': [agents.bob.id, agents.alice.id, 'a_elsewhere'], '%ops': [agents.carol.id] },
    });
    await send('#ops');
    assert.deepEqual(served(), ['bob']);
    assert.equal(lastSent().localServed, true);
    await send('%ops');
    assert.deepEqual(served(), ['bob', 'carol']);
    await send('#unknown');
    assert.deepEqual(lastSent(), THROUGH_HUB);
    assert.equal(textsOf('bob').length, 1);
  });

  it('leaves out who is suspended and whom the sender may not message, and notes that', async () => {
    know({ rules: [onlyTo('alice', 'bob', 'dave')], suspended: [agents.dave.id] });
    await send('*');
    assert.deepEqual(served(), ['bob']);
    assert.equal(lastSent().localServed, true);
    const [denial, ...more] = test.engine.denials.next();
    assert.deepEqual(
      [denial?.actorName, denial?.targetName, denial?.policy, more.length],
      ['alice', 'carol', 'pol_1', 0],
    );
  });

  it('has a receipt for each of its recipients', async () => {
    const id = await send('*@here');
    for (const taker of takers.values())
      await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    const { receipts, final: over } = test.engine.progress.of(id);
    assert.equal(over, true);
    assert.deepEqual(receipts.map((one) => one.recipientName).toSorted(), ['bob', 'carol', 'dave']);
    for (const { stage, final } of receipts) assert.deepEqual([stage, final], [Stage.CONFIRMED, true]);
  });

  it('goes at once to who can have it, and by the hub to who waits for earlier mail, with what follows', async () => {
    const { bob, alice } = agents;
    bob.fence.raise();
    const first = await send('*', 'to all');
    assert.deepEqual(served(), ['carol', 'dave']);
    assert.deepEqual(lastSent(), THROUGH_HUB);
    // The hub brings it to all of them.
    const envelope = Envelope.decode(test.engine.tables.outbox.load().at(-1)!.envelope);
    const late = {
      ingressAtUs: 1,
      routedAtUs: 1,
      router: 'r',
      deadlineUs: Number.MAX_SAFE_INTEGER,
      history: true,
    };
    await send('bob', 'direct');
    assert.deepEqual(textsOf('bob'), [], 'it must not overtake');
    await test.engine.turns.run(() => {
      for (const agent of [bob, agents.carol])
        test.engine.custody.hold(agent, envelope, Envelope.encode(envelope).finish(), late);
    });
    assert.deepEqual([textsOf('bob'), textsOf('carol')], [['to all'], ['to all']]);
    bob.fence.came(alice.id, first);
    assert.equal(bob.fence.lets(alice.id), false, 'the direct one is still under way');
  });

  it('keeps no fence shut that it does not come through again', async () => {
    const { bob, alice } = agents;
    bob.fence.raise();
    await send('*');
    // The router has left bob out; what alice writes next takes the same way, comes, and opens it.
    const direct = await send('bob');
    bob.fence.came(alice.id, direct);
    await send('*', 'again');
    assert.deepEqual(textsOf('bob'), ['again']);
    assert.equal(lastSent().localServed, true);
  });

  it('is brought by the hub as well where somebody meant has just left this node', async () => {
    await test.engine.turns.run(() => test.engine.book.markLeaving(agents.dave));
    await send('*');
    assert.deepEqual(served(), ['bob', 'carol']);
    assert.deepEqual(lastSent(), THROUGH_HUB);
  });

  it('is held once for each after a crash too', async () => {
    for (const agent of Object.values(agents)) agent.taker = undefined;
    await send('*');
    test = await test.crash();
    assert.equal(test.engine.custody.depth, 3);
    assert.equal(lastSent().localServed, true);
  });

  it('that nobody here can get is left to the hub', async () => {
    for (const name of ['bob', 'carol', 'dave'])
      await test.engine.turns.run(() => test.engine.book.markRemoved(test.engine.book.byName(name)!));
    await send('*@here');
    assert.equal(lastSent().marked, false);
  });
});

describe('a message to one of a project', () => {
  it('stays here when name and project are those of an agent here', async () => {
    const test = await testEngine();
    const alice = await addAgent(test.engine, 'alice');
    const bob = await addAgent(test.engine, 'bob');
    bob.profile = AgentProfile.fromPartial({ repo: 'https://host/team/app' });
    for (const [to, here] of [
      ['app:bob', true],
      ['APP:Bob@here', true],
      ['other:bob', false],
      ['app:bob@there', false],
      ['app:alice', false],
    ] as const) {
      const before = test.engine.custody.depth;
      await sendOnce(test.engine, alice, outgoing(to));
      assert.equal(test.engine.custody.depth - before, here ? 1 : 0, to);
    }
    await test.close();
  });
});
