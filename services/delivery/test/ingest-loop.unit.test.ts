/**
 * Goal: acknowledged means committed; one bad row harms no other; an outage is waited out in bounded memory.
 * Method: the loop on a fake broker and a fake table that fails as told; every acknowledgement is checked against
 * what was committed at that moment.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { DELIVERY_RECEIPTS, deadSubject, receiptSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { DeadLetter, type Receipt, Stage } from '@fleetwire/gen/message';
import { newId, systemClock } from '@fleetwire/kernel';
import { eventually, silentLog as log } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { DeniedReceipts } from '../src/handlers/denied-receipts.ts';
import type { IngestSource } from '../src/handlers/ingest-loop.ts';
import { IngestLoop } from '../src/handlers/ingest-loop.ts';
import type { RefuseRow } from '../src/handlers/persist.ts';
import { readReceipts } from '../src/handlers/receipts.ts';
import { createRejectDesk, type Rejected } from '../src/handlers/reject-desk.ts';
import { FakeBroker } from './fake-broker.ts';
import {
  BOB,
  envelope,
  NODE_B,
  ORG,
  pulled,
  RECEIPT_SUBJECT,
  receiptBatch,
  receiptFor,
} from './sample-traffic.ts';

interface TextRow {
  readonly text: string;
  readonly message: PulledMessage;
}

const limits = {
  flushMs: 5,
  flushBytes: 16,
  flushRows: 4,
  pullMessages: 4,
  pullBytes: 4_000_000,
  backoff: { initialMs: 1, maxMs: 2 },
};

class Table {
  readonly committed: string[] = [];
  readonly told: string[] = [];
  /** Thrown instead of telling while it is set. */
  mute: Error | undefined;
  triedToTell = 0;
  readonly transactions: number[] = [];
  /** Messages that were read, so that rows could be made of them. */
  read = 0;
  /** Thrown instead of committing while it is set. */
  fault: Error | undefined;

  async save(all: readonly TextRow[], refuse?: RefuseRow<TextRow>): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const rows = all.filter(({ text }) => !text.startsWith('beyond'));
    for (const row of all) if (!rows.includes(row)) refuse?.(row, new Error('no room'));
    if (this.fault !== undefined) throw this.fault;
    if (rows.some((row) => row.text.startsWith('poison')))
      throw Object.assign(new Error('invalid byte sequence'), { code: '22021' });
    this.committed.push(...rows.map((row) => row.text));
    this.transactions.push(rows.length);
  }

  async tell(rows: readonly TextRow[]): Promise<void> {
    this.triedToTell++;
    if (this.mute !== undefined) throw this.mute;
    this.told.push(...rows.map((row) => row.text));
  }
}

/** Set by tests. */
const clock = { ms: 0, monotonicMs: () => clock.ms };

describe('ingest loop', () => {
  let broker: FakeBroker;
  let table: Table;
  let loop: IngestLoop<TextRow>;
  let counted: string[];

  beforeEach(async () => {
    broker = new FakeBroker();
    table = new Table();
    counted = [];
    await start(limits);
  });

  afterEach(() => loop.stop());

  async function start(how: typeof limits): Promise<void> {
    const desk = createRejectDesk(broker.asBroker(), log, (reason) => counted.push(reason), clock);
    loop = new IngestLoop(broker.asBroker(), textSource(table), how, desk, log);
    await loop.start();
  }

  function put(...texts: string[]): number {
    return broker.put(RECEIPT_SUBJECT, new TextEncoder().encode(texts.join(',')));
  }

  it('acknowledges a message only once all its rows are committed', async () => {
    table.fault = new Error('away');
    const sequence = put('a', 'b');
    await eventually(() => loop.waiting);
    assert.deepEqual(broker.acknowledged, []);
    table.fault = undefined;
    await eventually(() => broker.acknowledged.includes(sequence));
    assert.deepEqual(table.committed, ['a', 'b']);
  });

  it('tells of what it has stored before it acknowledges, again until it can, and stores it once', async () => {
    table.mute = new Error('away');
    const sequence = put('a', 'poison-1', 'b');
    await eventually(() => table.triedToTell > 3);
    assert.deepEqual([broker.acknowledged, table.told], [[], []]);
    table.mute = undefined;
    await eventually(() => broker.acknowledged.includes(sequence));
    assert.deepEqual(
      [table.committed, table.told],
      [
        ['a', 'b'],
        ['a', 'b'],
      ],
    );
  });

  it('stops pulling during an outage, then catches up with nothing lost', async () => {
    table.fault = new Error('away');
    for (let i = 0; i < 100; i++) put(`m${i}`);
    await eventually(() => loop.waiting);
    const pulls = broker.pulls;
    assert.ok(pulls <= 3, `${pulls} batches were pulled`);
    table.fault = undefined;
    await eventually(() => broker.acknowledged.length === 100);
    assert.equal(new Set(table.committed).size, 100);
  });

  it('isolates a poison row, keeps it as a dead letter, and commits its neighbours', async () => {
    put('a', 'poison-1', 'b');
    put('c');
    put('d', 'e', 'poison-2');
    await eventually(() => broker.acknowledged.length === 3);
    assert.deepEqual([...table.committed].sort(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(counted, ['REFUSED', 'REFUSED']);
    const letters = broker.published.map((p) => DeadLetter.decode(p.payload));
    const kept = letters.map((letter) => new TextDecoder().decode(letter.envelope)).sort();
    assert.deepEqual(kept, ['poison-1', 'poison-2']);
    const subject = deadSubject.build({ org: ORG, agent: UNKNOWN_RECIPIENT });
    assert.ok(broker.published.every((p) => p.subject === subject));
  });

  it('keeps as a dead letter what the table leaves out, once, and commits its neighbours', async () => {
    table.fault = new Error('away');
    put('a', 'beyond-1', 'b');
    await eventually(() => loop.waiting);
    table.fault = undefined;
    await eventually(() => broker.acknowledged.length === 1);
    assert.deepEqual([table.committed, table.told, counted], [['a', 'b'], ['a', 'b'], ['REFUSED']]);
    assert.equal(broker.published.length, 1);
  });

  it('keeps what is rejected some at a time, and all of it before it is acknowledged', async () => {
    const texts = Array.from({ length: 50 }, () => 'unreadable');
    broker.slow = true;
    const sequence = put(...texts);
    await eventually(() => broker.acknowledged.includes(sequence));
    assert.equal(broker.published.length, texts.length);
    assert.ok(broker.togetherMax > 1 && broker.togetherMax < texts.length, `${broker.togetherMax} at once`);
  });

  it('never takes a fault of the database for a fault of a row', async () => {
    for (const code of ['42P01', '53100', '42501', '40P01', '57P03']) {
      table.fault = Object.assign(new Error('not now'), { code });
      const text = `row-${code}`;
      const sequence = put(text);
      await eventually(() => loop.waiting);
      assert.deepEqual(broker.published, []);
      table.fault = undefined;
      await eventually(() => broker.acknowledged.includes(sequence));
      assert.ok(table.committed.includes(text));
    }
  });

  it('acknowledges what cannot be read after it has been counted', async () => {
    const sequence = put('unreadable');
    put('a');
    await eventually(() => broker.acknowledged.length === 2);
    assert.ok(broker.acknowledged.includes(sequence));
    assert.deepEqual(counted, ['UNREADABLE']);
    assert.deepEqual(table.committed, ['a']);
  });

  it('gathers what arrives together, but keeps a transaction within its bound', async () => {
    for (let i = 0; i < 40; i++) put(`m${i}`);
    await eventually(() => broker.acknowledged.length === 40);
    assert.ok(Math.max(...table.transactions) <= limits.flushRows);
    assert.ok(table.transactions.length <= 20, `${table.transactions.length} transactions`);
  });

  it('waits for more until there is enough, and then for no more', async () => {
    await loop.stop();
    broker = new FakeBroker();
    await start({ ...limits, flushMs: 3_600_000, pullMessages: 1 });
    for (let pulls = 2; pulls <= 4; pulls++) {
      put('four');
      // It has taken this one and asks for the next.
      await eventually(() => broker.pulls === pulls);
    }
    assert.deepEqual([table.read, broker.acknowledged], [0, []]);
    put('four');
    await eventually(() => broker.acknowledged.length === 4);
    assert.deepEqual(table.transactions, [4]);
  });

  it('counts what cannot be read as well, so that a transaction comes to its end', async () => {
    table.fault = new Error('away');
    for (let i = 0; i < 10; i++) put(i % 2 === 0 ? 'unreadable' : 'a');
    await eventually(() => loop.waiting);
    assert.equal(table.read, limits.flushRows);
    table.fault = undefined;
    await eventually(() => broker.acknowledged.length === 10);
  });

  it('reads what waits only when it is to be written', async () => {
    table.fault = new Error('away');
    for (let i = 0; i < 100; i++) put(`m${i}`);
    await eventually(() => loop.waiting);
    assert.ok(table.read <= limits.flushRows, `${table.read} were read`);
    table.fault = undefined;
    await eventually(() => broker.acknowledged.length === 100);
    assert.equal(table.read, 100);
  });

  it('ends while the database is away, without acknowledging', async () => {
    table.fault = new Error('away');
    put('a');
    await eventually(() => loop.waiting);
    await loop.stop();
    assert.deepEqual(broker.acknowledged, []);
  });
});

describe('what nodes have said and is rejected', () => {
  const EVIL = newId('node');
  const NOBODY = { isHome: () => false };
  const said = (from: string, receipts: readonly Receipt[]) =>
    readReceipts(
      pulled(receiptSubject.build({ org: ORG, toNode: from, from }), receiptBatch(receipts), 1),
      NOBODY,
    ).rejected;
  const flood = (from: string, number: number) =>
    said(
      from,
      Array.from({ length: number }, () => receiptFor(envelope(), Stage.ROUTED)),
    );
  const signal = new AbortController().signal;

  it('is kept up to a number of letters a minute of each node, and counted all', async () => {
    const broker = new FakeBroker();
    let counted = 0;
    const desk = createRejectDesk(broker.asBroker(), log, (_, number) => (counted += number), clock);
    const take = async (rejected: readonly Rejected[]) => {
      const before = broker.published.length;
      assert.ok(await desk.take('test', rejected, signal));
      return broker.published.length - before;
    };
    assert.deepEqual([await take(flood(EVIL, 250)), counted], [100, 250]);
    assert.deepEqual([await take(flood(EVIL, 10)), await take(flood(NODE_B, 10))], [0, 10]);
    // Not of what a node has said: all.
    const unsaid = flood(EVIL, 150).map((item) => ({ ...item, word: undefined }));
    assert.equal(await take(unsaid), 150);
    clock.ms += 60_000;
    assert.equal(await take(flood(EVIL, 250)), 100);
  });

  it('is told to the audit once it is recorded, in one event for each node and reason', async () => {
    const broker = new FakeBroker();
    const publish = broker.asBroker().store;
    const denied = new DeniedReceipts({ publish, clock: systemClock, log, intervalMs: 3_600_000 });
    const [mine] = flood(EVIL, 1);
    let recorded = false;
    const desk = denied.tellOf({ take: async () => recorded });
    assert.equal(await desk.take('test', [mine!], signal), false);
    recorded = true;
    const service = { ...mine!, word: undefined };
    const unreadable = readReceipts(pulled(RECEIPT_SUBJECT, new Uint8Array([255]), 2), NOBODY).rejected;
    assert.ok(await desk.take('test', [mine!, ...flood(EVIL, 4), service, ...unreadable], signal));
    await denied.stop();
    const events = broker.published.map(({ payload }) => Event.decode(payload));
    assert.deepEqual(
      events.map(({ actor, target, details }) => [actor, target, details['reason'], details['count']]),
      [
        [EVIL, BOB, 'RECEIPT_NOT_ITS_WORD', '5'],
        [NODE_B, '', 'RECEIPTS_UNDECODABLE', '1'],
      ],
    );
  });
});

function textSource(table: Table): IngestSource<TextRow> {
  const rejected = (message: PulledMessage, text: string, reason: string) => ({
    org: ORG,
    reason,
    detail: '',
    stream: 'RECEIPTS' as const,
    sequence: message.sequence,
    part: 0,
    subject: message.subject,
    bytes: new TextEncoder().encode(text),
    keep: true,
  });
  return {
    consumer: DELIVERY_RECEIPTS,
    read: (message) => {
      table.read++;
      const texts = new TextDecoder().decode(message.data).split(',');
      const good = texts.filter((text) => text !== 'unreadable');
      return {
        rows: good.map((text) => ({ text, message })),
        rejected: texts
          .filter((text) => text === 'unreadable')
          .map((text) => rejected(message, text, 'UNREADABLE')),
      };
    },
    combine: (rows) => rows,
    save: (rows, refuse) => table.save(rows, refuse),
    tell: (rows) => table.tell(rows),
    refuse: (row) => rejected(row.message, row.text, 'REFUSED'),
  };
}
