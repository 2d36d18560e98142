/**
 * Goal: an agent's mail leaves this node in order and once, and comes here before what is sent here directly, also when the
 * node crashes in between or the registry refuses.
 * Method: an engine over a real database file that is opened again as after a crash; the registry is a function of the test.
 */

import assert from 'node:assert/strict';
import { Envelope, type InboxEntry, Priority, Stage } from '@fleetwire/gen/message';
import type { HandOverRequest } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, silentLog as log } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { confirmed } from '../src/domain/receipt.ts';
import { Departures } from '../src/moving/departures.ts';
import {
  addAgent,
  entryFor,
  hold,
  LOOK,
  NODE,
  OTHER_NODE,
  outgoing,
  receiptsFor,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

let test: TestEngine;
const leaving: Departures[] = [];

async function cleanUp(): Promise<void> {
  for (const departures of leaving.splice(0)) await departures.stop();
  await test.close();
}

/** The registry, and what came to it. */
class Registry {
  readonly taken: string[] = [];
  readonly remembered: string[] = [];
  done = false;
  refuse: (request: HandOverRequest) => void = () => undefined;
  wait: (request: HandOverRequest) => Promise<void> = async () => undefined;

  async take(request: HandOverRequest): Promise<void> {
    this.refuse(request);
    await this.wait(request);
    for (const { envelope, recipients } of request.entries) {
      const mail = Envelope.decode(envelope);
      if (recipients.length > 0) this.taken.push(Buffer.from(mail.body).toString());
      else this.remembered.push(mail.id);
    }
    this.done ||= request.done;
  }
}

function departuresOf({ engine }: TestEngine, registry: Registry, settleMs = 20): Departures {
  const { book, tables, custody, turns, clock } = engine;
  const { agents, inbox, moving } = tables;
  const departures = new Departures({
    book,
    agents,
    inbox,
    moving,
    custody,
    turns,
    clock,
    log,
    settleMs,
    rememberMs: 600_000,
    rememberMax: 100,
    keepMs: 3_600_000,
    handOver: (request) => registry.take(request),
    endProgram: async (agent) => {
      agent.taker = undefined;
    },
  });
  leaving.push(departures);
  departures.start();
  return departures;
}

const text = (body: string) => ({ body: new TextEncoder().encode(body) });
const mark = (agent: HostedAgent, epoch: number, end: boolean) => {
  return { agent: agent.id, epoch, end, name: agent.name, adapter: agent.adapter };
};
const bodies = (taker: TestTaker) =>
  taker.taken.map((entry) => Buffer.from(test.engine.custody.envelopeOf(entry).body).toString());
const arrive = (agent: HostedAgent, entry: InboxEntry) =>
  test.engine.turns.run(() => test.engine.arrivals.take(agent, entry, Envelope.decode(entry.envelope)));

describe('an agent that leaves', () => {
  afterEach(cleanUp);

  it('is handed over in the order of each level', async () => {
    test = await testEngine();
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob');
    for (const [body, priority] of [
      ['low 1', Priority.LOW],
      ['normal 1', Priority.NORMAL],
      ['high 1', Priority.HIGH],
      ['normal 2', Priority.NORMAL],
      ['high 2', Priority.HIGH],
    ] as const)
      await hold(test, bob, entryFor(bob.id, test.clock, { ...text(body), priority }));
    const departures = departuresOf(test, registry);
    await departures.told([{ agent: bob.id, epoch: 7 }]);
    await test.engine.turns.run(() => departures.marked(mark(bob, 7, true)));
    await eventually(() => registry.done);
    assert.deepEqual(registry.taken, ['high 1', 'high 2', 'normal 1', 'normal 2', 'low 1']);
    assert.equal(bob.queue.depth, 0);
  });

  it('takes along what a reader is shown, but for what was taken back', async () => {
    test = await testEngine();
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    const entries = ['shown', 'taken back'].map((body) => entryFor(bob.id, test.clock, text(body)));
    for (const entry of entries) await hold(test, bob, entry);
    const look = { ...LOOK, holdMs: 60_000 };
    await test.engine.mailbox.read(bob, look, new AbortController().signal);
    const cancels = Envelope.decode(entries[1]!.envelope).id;
    await hold(test, bob, entryFor(bob.id, test.clock, { cancels, ...text('') }));
    const departures = departuresOf(test, registry);
    await departures.told([{ agent: bob.id, epoch: 7 }]);
    await test.engine.turns.run(() => departures.marked(mark(bob, 7, true)));
    await eventually(() => registry.done);
    assert.deepEqual(registry.taken, ['shown']);
  });

  it('is handed over in order, with what comes later, without what was attempted', async () => {
    test = await testEngine();
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob');
    bob.taker = new TestTaker(1);
    const first = entryFor(bob.id, test.clock, text('attempted'));
    await hold(test, bob, first);
    for (const body of ['one', 'two']) await hold(test, bob, entryFor(bob.id, test.clock, text(body)));
    const departures = departuresOf(test, registry);
    await departures.told([{ agent: bob.id, epoch: 7 }]);
    assert.equal(test.engine.book.byName('bob'), undefined);
    await eventually(() => registry.taken.length === 2);
    await hold(test, bob, entryFor(bob.id, test.clock, text('three')));
    await test.engine.turns.run(() => departures.came(bob));
    await eventually(() => registry.taken.length === 3);
    assert.equal(registry.done, false);
    await test.engine.turns.run(() => departures.marked(mark(bob, 7, true)));
    await eventually(() => registry.done);
    assert.deepEqual(registry.taken, ['one', 'two', 'three']);
    assert.deepEqual(registry.remembered, [Envelope.decode(first.envelope).id]);
    const ends = receiptsFor(test.engine, OTHER_NODE).filter(({ final }) => final);
    assert.deepEqual(
      ends.map(({ stage, reason }) => [stage, reason]),
      [[Stage.UNCONFIRMED, 'AGENT_MOVED']],
    );
  });

  it('ends nothing by the policy `oldest` that is being handed over: what comes goes back', async () => {
    test = await testEngine({ queue_messages: 2, queue_drop: 'oldest' });
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob');
    for (const body of ['one', 'two']) await hold(test, bob, entryFor(bob.id, test.clock, text(body)));
    const answer = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    registry.wait = async ({ entries }) => {
      if (entries.length === 0) return;
      asked.resolve();
      await answer.promise;
    };
    const departures = departuresOf(test, registry);
    await departures.told([{ agent: bob.id, epoch: 7 }]);
    await asked.promise;
    assert.equal(await hold(test, bob, entryFor(bob.id, test.clock, text('three'))), 'ended');
    answer.resolve();
    await test.engine.turns.run(() => departures.marked(mark(bob, 7, true)));
    await eventually(() => registry.done);
    assert.deepEqual(test.broken, []);
    assert.deepEqual(registry.taken, ['one', 'two']);
    const ends = receiptsFor(test.engine, OTHER_NODE).filter(({ final }) => final);
    assert.deepEqual(
      ends.map(({ reason }) => reason),
      ['QUEUE_FULL'],
    );
  });

  it('waits for an injection under way: what comes back from it is handed over first', async () => {
    test = await testEngine();
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob');
    const taker = new TestTaker(2);
    bob.taker = taker;
    for (const body of ['proved', 'not reached', 'waits'])
      await hold(test, bob, entryFor(bob.id, test.clock, text(body)));
    const { turns, custody } = test.engine;
    const departures = departuresOf(test, registry, 20_000);
    await departures.told([{ agent: bob.id, epoch: 7 }]);
    await turns.run(() => custody.end(taker.taken.slice(0, 1), confirmed('it answered')));
    assert.equal(taker.taken.length, 2, 'nothing more is attempted here');
    assert.deepEqual(registry.taken, []);
    await turns.run(() => custody.putBack(taker.taken[1]!));
    await eventually(() => registry.taken.length === 2);
    assert.deepEqual(registry.taken, ['not reached', 'waits']);
    const ends = receiptsFor(test.engine, OTHER_NODE).filter(({ final }) => final);
    assert.deepEqual(
      ends.map(({ stage }) => stage),
      [Stage.CONFIRMED],
    );
  });

  it('goes on after a crash with what the registry has not got, and is repeated only whole', async () => {
    test = await testEngine();
    const registry = new Registry();
    const bob = await addAgent(test.engine, 'bob');
    for (const body of ['one', 'two']) await hold(test, bob, entryFor(bob.id, test.clock, text(body)));
    registry.refuse = () => {
      throw new FleetwireError('unavailable', 'REQUEST_TIMEOUT', 'away');
    };
    const before = departuresOf(test, registry);
    await test.engine.turns.run(() => before.marked(mark(bob, 7, true)));
    await before.stop();
    test = await test.crash();
    assert.equal(test.engine.book.byName('bob'), undefined);
    registry.refuse = () => undefined;
    departuresOf(test, registry);
    await eventually(() => registry.done);
    assert.deepEqual(registry.taken, ['one', 'two']);
    assert.equal(test.engine.custody.depth, 0);
  });

  it('gives its mail back to the senders when it has moved without this node', async () => {
    test = await testEngine();
    const registry = new Registry();
    registry.refuse = () => {
      throw new FleetwireError('failed_precondition', 'MOVE_OVER', 'too late');
    };
    const bob = await addAgent(test.engine, 'bob');
    await hold(test, bob, entryFor(bob.id, test.clock, text('one')));
    await departuresOf(test, registry).told([{ agent: bob.id, epoch: 7 }]);
    const ended = () => receiptsFor(test.engine, OTHER_NODE).find(({ final }) => final);
    const { stage, reason } = await eventually(ended);
    assert.deepEqual([stage, reason], [Stage.RETURNED, 'AGENT_MOVED']);
  });

  it('is forgotten in time when it has moved without this node and nothing was left here', async () => {
    test = await testEngine();
    const registry = new Registry();
    registry.refuse = () => {
      throw new FleetwireError('failed_precondition', 'MOVE_OVER', 'too late');
    };
    const bob = await addAgent(test.engine, 'bob');
    await departuresOf(test, registry).told([{ agent: bob.id, epoch: 7 }]);
    await eventually(() => bob.moving.leftAtUs > 0);
  });
});

describe('an agent that arrives', () => {
  afterEach(cleanUp);

  const announce = (epoch: number, end = false) =>
    test.engine.turns.run(() => {
      const said = { agent: 'a_00000000000moved', epoch, end, name: 'moved', adapter: 'stream' };
      if (end) test.engine.arrivals.complete(said);
      else test.engine.arrivals.announced(said);
      return test.engine.book.byId(said.agent)!;
    });

  it('gets what comes with it first, each once, also after a crash in between', async () => {
    test = await testEngine();
    let moved = await announce(7);
    const [early, twice] = [text('moved'), entryFor(moved.id, test.clock, text('twice'))];
    const settled = entryFor(moved.id, test.clock, text('had its end'));
    await hold(test, moved, twice);
    await hold(test, moved, settled);
    await hold(test, moved, entryFor(moved.id, test.clock, text('direct')));
    await arrive(moved, { ...entryFor(moved.id, test.clock, early), movedEpoch: 7 });
    test = await test.crash();
    moved = test.engine.book.byName('moved')!;
    const taker = new TestTaker();
    moved.taker = taker;
    await arrive(moved, { ...twice, movedEpoch: 7 });
    await arrive(moved, { ...settled, recipients: [], movedEpoch: 7 });
    assert.deepEqual(bodies(taker), []);
    await announce(7, true);
    await announce(7);
    await hold(test, moved, entryFor(moved.id, test.clock, text('later')));
    assert.deepEqual(bodies(taker), ['moved', 'twice', 'direct', 'later']);
  });

  it('expires what was held back too, where nobody takes its mail', async () => {
    test = await testEngine({ queue_messages: 1 });
    const bob = await addAgent(test.engine, 'bob');
    await test.engine.turns.run(() => test.engine.arrivals.announced(mark(bob, 7, false)));
    await arrive(bob, entryFor(bob.id, test.clock));
    await hold(test, bob, entryFor(bob.id, test.clock));
    await test.engine.turns.run(() => test.engine.arrivals.complete(mark(bob, 7, true)));
    assert.deepEqual([bob.queue.depth, bob.heldBack.count], [1, 1]);
    test.clock.ahead = 400_000_000;
    await test.engine.turns.run(() => test.engine.custody.expire(bob));
    assert.deepEqual([bob.queue.depth, bob.heldBack.count], [0, 0]);
    const ends = receiptsFor(test.engine, OTHER_NODE).filter(({ final }) => final);
    assert.deepEqual(
      ends.map(({ stage }) => stage),
      [Stage.EXPIRED, Stage.EXPIRED],
    );
  });

  it('is not complete by the mark of an earlier move', async () => {
    test = await testEngine();
    const moved = await announce(7);
    await announce(5, true);
    assert.equal(moved.moving.arriving, 7);
    await announce(7, true);
    assert.equal(moved.moving.arriving, 0);
  });

  it('lets what was held back follow as its queue has room', async () => {
    test = await testEngine({ queue_messages: 3 });
    const moved = await announce(7);
    for (const body of ['a', 'b', 'c', 'd'])
      await arrive(moved, { ...entryFor(moved.id, test.clock, text(body)), movedEpoch: 7 });
    for (const body of ['1', '2', '3']) await hold(test, moved, entryFor(moved.id, test.clock, text(body)));
    assert.equal(await hold(test, moved, entryFor(moved.id, test.clock, text('4'))), 'ended');
    const taker = new TestTaker(1);
    moved.taker = taker;
    await announce(7, true);
    const { custody, turns } = test.engine;
    for (let n = 1; n < 7; n++)
      await turns.run(() =>
        custody.end(taker.taken.slice(-1), { stage: Stage.CONFIRMED, final: true, reason: '', detail: '' }),
      );
    assert.equal(moved.heldBack.count, 0);
    assert.equal(new Set(taker.taken).size, 7);
  });

  it('that was announced in vain leaves again with its mail, and may come after all', async () => {
    test = await testEngine();
    const registry = new Registry();
    registry.refuse = () => {
      throw new FleetwireError('not_found', 'MOVE_UNKNOWN', 'no such move');
    };
    const departures = departuresOf(test, registry);
    const first = await announce(7);
    await hold(test, first, entryFor(first.id, test.clock, text('direct')));
    await announce(7, true);
    await departures.told([{ agent: first.id, epoch: 8 }]);
    const ended = () => receiptsFor(test.engine, OTHER_NODE).find(({ final }) => final);
    assert.equal((await eventually(ended)).reason, 'AGENT_MOVED');
    assert.equal(test.engine.book.byName('moved'), undefined);
    assert.equal(await announce(9), first);
  });

  it('comes back to a node that it had left, and gets again what it had taken along', async () => {
    test = await testEngine();
    const registry = new Registry();
    const first = await announce(7);
    await announce(7, true);
    const entry = entryFor(first.id, test.clock, text('travels'));
    await hold(test, first, entry);
    const departures = departuresOf(test, registry);
    await test.engine.turns.run(() => departures.marked(mark(first, 8, true)));
    await eventually(() => registry.done);
    const back = await announce(9);
    assert.equal(back, first);
    await departures.told([{ agent: back.id, epoch: 8 }]);
    assert.equal(test.engine.book.byName('moved'), back, 'an earlier move, told of once more');
    const taker = new TestTaker();
    back.taker = taker;
    await arrive(back, { ...entry, movedEpoch: 9 });
    await announce(9, true);
    assert.deepEqual(bodies(taker), ['travels']);
  });

  it('gets mail of its own node through the hub until what went there before is back', async () => {
    test = await testEngine();
    const { engine } = test;
    const alice = await addAgent(engine, 'alice');
    const moved = await announce(7);
    const send = (body: string) =>
      engine.turns.run(() => engine.acceptance.accept(alice, outgoing('moved', body)));
    await announce(7, true);
    const { id } = await send('through the hub');
    await send('so is this');
    assert.equal(engine.custody.depth, 0);
    await engine.turns.run(() => moved.fence.came(alice.id, id));
    const last = await send('and this');
    assert.equal(engine.custody.depth, 0, 'one that went later is still under way');
    await engine.turns.run(() => moved.fence.came(alice.id, last.id));
    await send('from here on');
    assert.equal(engine.custody.depth, 1);
    assert.equal(NODE, engine.identity.node);
  });
});
