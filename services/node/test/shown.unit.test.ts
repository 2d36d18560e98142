/**
 * Goal: what a reader of a mailbox is being shown is nobody else's: no session is given it, it ends by nothing else, and naming
 * it ends nothing that was not shown; a move that comes meanwhile doubles nothing and breaks nothing.
 * Method: an engine over a real database file, with sessions, moves and crashes in the middle of a hold.
 */

import assert from 'node:assert/strict';
import { Envelope, Priority, Stage } from '@fleetwire/gen/message';
import type { ReadInboxResponse } from '@fleetwire/gen/node';
import type { HandOverRequest } from '@fleetwire/gen/registry';
import { newMessageId } from '@fleetwire/kernel';
import { eventually, silentLog as log, reasonOf } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import type { ReadOptions } from '../src/mail/mailbox.ts';
import { Departures } from '../src/moving/departures.ts';
import {
  addAgent,
  entryFor,
  hold,
  LOOK,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

const idsOf = ({ deliveries }: ReadInboxResponse) => deliveries.map(({ id }) => id);
const idOf = (entry: { envelope: Uint8Array }) => Envelope.decode(entry.envelope).id;

describe('mail that a reader is being shown', () => {
  let test: TestEngine;
  let bob: HostedAgent;
  beforeEach(async () => {
    test = await testEngine();
    bob = await addAgent(test.engine, 'bob', 'mailbox');
  });
  afterEach(() => test.close());

  const read = (more: Partial<ReadOptions> = {}, agent = bob) =>
    test.engine.mailbox.read(agent, { ...LOOK, holdMs: 5000, ...more }, new AbortController().signal);
  const come = async (more: Partial<Envelope> = {}) => {
    const entry = entryFor(bob.id, test.clock, more);
    await hold(test, bob, entry);
    return idOf(entry);
  };
  const takeBack = (id: string) => come({ cancels: id, body: new Uint8Array() });
  const tick = () => test.engine.turns.run(() => test.engine.custody.expire(bob));
  const ends = () =>
    receiptsFor(test.engine, OTHER_NODE)
      .filter(({ final }) => final)
      .map(({ messageId, stage }) => [messageId, stage]);
  const takes = async () => {
    const taker = new TestTaker();
    bob.taker = taker;
    await test.engine.turns.run(() => test.engine.custody.touch(bob));
    return taker;
  };

  it('is given to no session that comes meanwhile, which has the rest once the reader is done', async () => {
    const [first, second] = [await come(), await come()];
    assert.deepEqual(idsOf(await read()), [first, second]);
    const cancel = await takeBack(second);
    test.clock.ahead += 301_000_000;
    const third = await come();
    const taker = await takes();
    await tick();
    assert.deepEqual(taker.taken.length, 0);
    assert.deepEqual(ends(), [[cancel, Stage.CONFIRMED]], 'neither its time nor its sender ends it');
    const told = await read({ confirm: [first, second] });
    assert.deepEqual([told.tooLate, told.cancelled], [[], [second]]);
    assert.deepEqual(ends().slice(1), [
      [first, Stage.CONFIRMED],
      [second, Stage.CONFIRMED],
    ]);
    assert.deepEqual(
      taker.taken.map((entry) => test.engine.custody.envelopeOf(entry).id),
      [third],
    );
  });

  it('goes to that session once it is given back, and once the hold is over', async () => {
    const [first, second] = [await come(), await come()];
    await read({ limit: 1 });
    const taker = await takes();
    assert.equal(taker.taken.length, 0);
    await read({ hold: [first] });
    assert.deepEqual(
      taker.taken.map((entry) => test.engine.custody.envelopeOf(entry).id),
      [first, second],
    );
  });

  it('is not shown to who waited from before that session: its mail goes elsewhere by now', async () => {
    const waiting = reasonOf(read({ waitMs: 30_000 }));
    const taker = await takes();
    await come();
    assert.equal(await waiting, 'MAIL_GOES_ELSEWHERE');
    assert.equal(taker.taken.length, 1);
  });

  it('is what a confirmation means, where another sender has used the same id', async () => {
    const id = newMessageId();
    const mallory = { id, fromAgent: 'a_00000000mallory0', fromName: 'mallory', priority: Priority.HIGH };
    await come(mallory);
    assert.deepEqual(idsOf(await read()), [id]);
    await come({ id, fromName: 'alice' });
    for (let i = 0; i < 2; i++) await read({ confirm: [id] });
    const left = (await read()).deliveries.map(({ fromName }) => fromName);
    assert.deepEqual(left, ['alice']);
    await read({ confirm: [id] });
    assert.deepEqual(ends(), [
      [id, Stage.CONFIRMED],
      [id, Stage.CONFIRMED],
    ]);
  });

  it('is not shown again after a crash when it was taken back', async () => {
    const id = await come();
    await read();
    const cancel = await takeBack(id);
    test = await test.crash();
    bob = test.engine.book.byName('bob')!;
    assert.deepEqual(idsOf(await read()), []);
    await tick();
    assert.deepEqual(ends(), [
      [cancel, Stage.CONFIRMED],
      [id, Stage.RETURNED],
    ]);
  });

  describe('of an agent that moves away', () => {
    const taken: string[] = [];
    let wait: Promise<void> | undefined;
    let departures: Departures;
    let under = 0;
    beforeEach(() => {
      const { book, tables, custody, turns, clock } = test.engine;
      taken.length = 0;
      wait = undefined;
      under = 0;
      departures = new Departures({
        book,
        agents: tables.agents,
        inbox: tables.inbox,
        moving: tables.moving,
        custody,
        turns,
        clock,
        log,
        settleMs: 1,
        rememberMs: 1e6,
        rememberMax: 100,
        keepMs: 1e6,
        handOver: async ({ entries }: HandOverRequest) => {
          if (entries.length === 0) return;
          under++;
          await wait;
          taken.push(...entries.map(idOf));
        },
        endProgram: async () => undefined,
      } as unknown as ConstructorParameters<typeof Departures>[0]);
      departures.start();
    });
    afterEach(() => departures.stop());

    it('is not shown to who still waits there, who is told', async () => {
      const waiting = reasonOf(read({ waitMs: 30_000 }));
      await departures.told([{ agent: bob.id, epoch: 7 }] as Parameters<Departures['told']>[0]);
      assert.equal(await waiting, 'AGENT_MOVED');
      const id = await come();
      await test.engine.turns.run(() => departures.came(bob));
      await eventually(() => taken.length === 1);
      assert.deepEqual(taken, [id]);
    });

    it('may end while it is handed over, and the node goes on', async () => {
      const gate = Promise.withResolvers<void>();
      wait = gate.promise;
      const [first, second] = [await come(), await come()];
      await departures.told([{ agent: bob.id, epoch: 7 }] as Parameters<Departures['told']>[0]);
      await eventually(() => under === 1);
      test.clock.ahead += 301_000_000;
      await tick();
      assert.deepEqual(
        ends().map(([, stage]) => stage),
        [Stage.EXPIRED, Stage.EXPIRED],
      );
      gate.resolve();
      await eventually(() => taken.length === 2);
      const id = await come();
      await test.engine.turns.run(() => departures.came(bob));
      await eventually(() => taken.length === 3);
      assert.deepEqual(taken, [first, second, id]);
      assert.deepEqual([test.broken, test.engine.custody.depth], [[], 0]);
    });
  });
});
