/**
 * Goal: mail that a node of before priorities has taken in, attempted, accepted or seen end without proof is all there once
 * its folder is opened by this version, in order and once.
 * Method: a folder of the schema before, filled by SQL as that version did it; then an engine over it, twice.
 */

import assert from 'node:assert/strict';
import { Envelope, Priority, Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { newMessageId } from '@fleetwire/kernel';
import { afterEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { buildReceipt, unconfirmed } from '../src/domain/receipt.ts';
import { openDatabase } from '../src/store/database.ts';
import {
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  TestClock,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

const BOB = 'a_0000000000000b0b';
const UNPROVEN = 1;
const ATTEMPTED = [2, 3];
const WAITING = [4, 5];
const SENT = 'first accepted, second accepted';

/** Takes away what came with schemas 6 to 8. */
const SCHEMA_5 = `ALTER TABLE agents DROP COLUMN attempted_system; ALTER TABLE agents DROP COLUMN attempted_high;
  ALTER TABLE agents DROP COLUMN attempted_low; ALTER TABLE agents DROP COLUMN delivered_up_to;
  ALTER TABLE inbox DROP COLUMN level; ALTER TABLE inbox DROP COLUMN delivery;
  ALTER TABLE unproven DROP COLUMN delivery; DROP TABLE letters; DROP INDEX directory_name;
  ALTER TABLE seen DROP COLUMN attempt;
  PRAGMA user_version = 5`;

const ids = Array.from({ length: 6 }, () => newMessageId());
const message = (seq: number) => entryFor(BOB, new TestClock(), { id: ids[seq]! });

function folderOfBefore(dir: string, resuming: boolean): void {
  const db = openDatabase(dir, 'normal');
  db.exec(SCHEMA_5);
  db.prepare(
    `INSERT INTO agents (num, id, local_id, name, folded, adapter, spec, attempted_up_to, resuming)
       VALUES (1, ?, ?, 'bob', 'bob', 'stream', '{"command":[],"cwd":"","env":{}}', ?, ?)`,
  ).run(BOB, BOB, ATTEMPTED.at(-1)!, resuming ? 1 : 0);
  for (const seq of [UNPROVEN, ...ATTEMPTED, ...WAITING]) {
    const { envelope, deadlineUs } = message(seq);
    db.prepare('INSERT INTO seen (seq, id, agent, at_us, sender) VALUES (?, ?, 1, ?, ?)').run(
      seq,
      ids[seq]!,
      new TestClock().nowUs(),
      Envelope.decode(envelope).fromAgent,
    );
    if (seq === UNPROVEN) {
      const times = { heldAtUs: 1, ingressAtUs: 1, routedAtUs: 1, router: 'r', deliveredAtUs: 1 };
      const lost = unconfirmed('SESSION_LOST', 'it was');
      const receipt = buildReceipt(Envelope.decode(envelope), { id: BOB, name: 'bob' }, times, lost, 1);
      db.prepare('INSERT INTO unproven (seq, agent, to_node, receipt, at_us) VALUES (?, 1, ?, ?, 1)').run(
        seq,
        OTHER_NODE,
        Receipt.encode(receipt).finish(),
      );
      db.prepare('INSERT INTO receipts (to_node, batch) VALUES (?, ?)').run(
        OTHER_NODE,
        ReceiptBatch.encode({ receipts: [receipt] }).finish(),
      );
    } else
      db.prepare(`INSERT INTO inbox VALUES (1, ?, ?, 1, 1, 1, 'r', ?, 1)`).run(seq, envelope, deadlineUs);
  }
  for (const text of SENT.split(', ')) {
    const { envelope } = entryFor(BOB, new TestClock(), { to: 'carol', body: Buffer.from(text) });
    db.prepare('INSERT INTO outbox (id, agent, local, envelope) VALUES (?, 1, 0, ?)').run(
      Envelope.decode(envelope).id,
      envelope,
    );
  }
  db.close();
}

let test: TestEngine;
const bobOf = ({ engine }: TestEngine): HostedAgent => engine.book.named('bob');
const seqs = (agent: HostedAgent) => [...agent.queue.attempted.values()].map(({ seq }) => seq);
const waiting = (agent: HostedAgent) => [...agent.queue.waiting.ahead()].map(({ seq }) => seq);
const stages = () =>
  receiptsFor(test.engine, OTHER_NODE).map((receipt) => [receipt.messageId, receipt.stage]);

describe('a folder of before priorities', () => {
  afterEach(() => test.close());

  it('keeps what was attempted under its numbers, what waits in its order, and what may still be proved', async () => {
    test = await testEngine({}, (dir) => folderOfBefore(dir, true));
    for (let opened = 0; opened < 2; opened++) {
      const bob = bobOf(test);
      assert.deepEqual([seqs(bob), [...bob.queue.attempted.keys()]], [ATTEMPTED, ATTEMPTED]);
      assert.deepEqual(waiting(bob), WAITING);
      assert.deepEqual([...bob.unproven], [[UNPROVEN, UNPROVEN]]);
      assert.equal(await hold(test, bob, message(WAITING[0]!)), 'repeated');
      test = await test.crash();
    }
    const bob = bobOf(test);
    await test.engine.turns.run(() => test.engine.custody.proof.prove(bob, UNPROVEN, UNPROVEN));
    assert.deepEqual(stages(), [
      [ids[UNPROVEN], Stage.UNCONFIRMED],
      [ids[UNPROVEN], Stage.CONFIRMED],
    ]);
    const { outbox } = test.engine;
    const accepted = outbox.nextPack()!.rows.map(({ envelope }) => Envelope.decode(envelope).body);
    assert.equal(accepted.map((body) => Buffer.from(body).toString()).join(', '), SENT);
  });

  it('gives new mail of a higher level numbers beyond all that were given, also across a crash', async () => {
    test = await testEngine({}, (dir) => folderOfBefore(dir, true));
    await hold(test, bobOf(test), entryFor(BOB, test.clock, { priority: Priority.HIGH }));
    const taker = new TestTaker();
    await test.engine.turns.run(() => {
      bobOf(test).taker = taker;
      test.engine.custody.touch(bobOf(test));
    });
    const given = taker.taken.map(({ seq, delivery }) => [seq, delivery]);
    assert.deepEqual(given, [
      [6, 4],
      [4, 5],
      [5, 6],
    ]);
    test = await test.crash();
    const { attempted } = bobOf(test).queue;
    assert.deepEqual([...attempted].map(([delivery, { seq }]) => [seq, delivery]).slice(2), given);
  });

  it('ends what a session that cannot tell had taken', async () => {
    test = await testEngine({}, (dir) => folderOfBefore(dir, false));
    assert.deepEqual([seqs(bobOf(test)), waiting(bobOf(test))], [[], WAITING]);
    assert.deepEqual(
      stages(),
      [UNPROVEN, ...ATTEMPTED].map((seq) => [ids[seq], Stage.UNCONFIRMED]),
    );
  });
});
