/**
 * Goal: history moves into partitions without loss, has a place for every id, and gives up old partitions as wholes.
 * Method: a real PostgreSQL; tables of the shape before with rows in them are migrated; partitions are made ahead, over rows
 * that the default one holds and by two replicas at once, and dropped; a writer and a reader go on meanwhile.
 */

import assert from 'node:assert/strict';
import { Envelope, Receipt as ReceiptCodec, Stage } from '@fleetwire/gen/message';
import { messageIdTime, newId, newMessageId } from '@fleetwire/kernel';
import { openStore, type Store, type StoreOptions } from '@fleetwire/store';
import { startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, before, beforeEach, describe, it } from 'mocha';
import { settlementOf } from '../src/domain/settlement.ts';
import { entities } from '../src/store/entities.ts';
import { listMessages, type MessageFilter } from '../src/store/message-list.ts';
import { findMessage, type MessageRow, saveMessages } from '../src/store/message-table.ts';
import { migrations } from '../src/store/migrations.ts';
import { dropPartitions, listPartitions, makePartitions } from '../src/store/partitions.ts';
import { deleteOlderThan } from '../src/store/retention.ts';
import { findSettlements, type SettlementRow, saveSettlements } from '../src/store/settlement-table.ts';
import { envelope, receiptFor } from './sample-traffic.ts';

const DAY_MS = 86_400_000;
/** 2026-09-21T12:00:00Z */
const NOON_MS = 1_789_992_000_000;
const ALL: MessageFilter = {
  correlationId: '',
  fromAgent: '',
  recipient: '',
  to: '',
  stage: 0,
  from: '',
  below: '',
  words: '',
};
const BEFORE_PARTITIONS = 4;
const BEFORE_ORIGINS = 8;
const TABLES = ['messages', 'settlements', 'message_words', 'origins'];

/** An id that its maker's clock has put there. */
const idAt = (ms: number) => messageIdTime(ms) + newMessageId().slice(10);

function rowOf(org: string, id: string, ms = NOON_MS): MessageRow {
  const message = envelope({ org, id, correlationId: id });
  const bytes = Envelope.encode(message).finish();
  const at = { acceptedAtUs: ms * 1000, ingressAtUs: ms * 1000, deadlineUs: ms * 1000 };
  const { fromAgent, to, correlationId } = message;
  const kept = { envelope: bytes, leftOutBytes: -1, usedBytes: bytes.length, searched: true };
  return { org, id, fromAgent, to, correlationId, ...at, ...kept };
}

function settlementRow(org: string, id: string, stage: Stage): SettlementRow {
  const receipt = receiptFor(envelope({ org, id }), stage);
  const settlement = settlementOf(receipt, 'n_b', NOON_MS * 1000)!;
  const { messageId, recipient } = receipt;
  return { org, messageId, recipient, settlement, storedAtUs: NOON_MS * 1000, encoded: undefined };
}

describe('history in partitions', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  const org = newId('org');

  const open = (upTo = migrations.length) => {
    const options: StoreOptions = {
      url: postgres.url,
      schema: 'delivery',
      entities: upTo < migrations.length ? [] : entities,
      migrations: migrations.slice(0, upTo),
      poolMax: 4,
      applicationName: 'partitions',
    };
    return openStore(options);
  };
  before(async () => {
    postgres = await startTestPostgres();
  });
  beforeEach(async () => {
    const former = store as Store | undefined;
    await former?.query('drop schema delivery cascade');
    await former?.close();
    store = await open();
  });
  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  const count = async (table: string) =>
    (await store.query<{ rows: number }>(`select count(*)::int as rows from ${table}`))[0]!.rows;

  const namesOf = async (table: string) =>
    (await listPartitions(store)).filter((p) => p.table === table).map(({ name }) => name);

  const list = async (filter: Partial<MessageFilter> = {}) => {
    const starts = (await listPartitions(store)).map(({ from }) => from);
    const bounds = { rows: 500, bytes: 10_000_000, walked: 10_000 };
    const page = await listMessages(store, org, { ...ALL, ...filter }, starts, NOON_MS, bounds);
    return page.rows.map(({ id }) => id);
  };

  it('takes over what was there before, whatever its ids say', async () => {
    await store.query('drop schema delivery cascade');
    await store.close();
    store = await open(BEFORE_PARTITIONS);
    const times = [NOON_MS - 3 * DAY_MS, NOON_MS, NOON_MS + 400 * DAY_MS, 5];
    const ids = [...times.map(idAt), 'an-odd_ID'];
    for (const id of ids) {
      const { acceptedAtUs, ingressAtUs, fromAgent, to, envelope: bytes } = rowOf(org, id);
      await store.query(`insert into messages values ($1, $2, $3, $4, $5, $6, $2, $7)`, [
        org,
        id,
        acceptedAtUs,
        ingressAtUs,
        fromAgent,
        to,
        bytes,
      ]);
      await store.query(
        `insert into settlements values ($1, $2, $3, $4, false, false, '', 1, 'n_b', $5, $6)`,
        oldSettlement(settlementRow(org, id, Stage.HELD)),
      );
    }
    await store.close();
    store = await open();
    assert.equal(await store.drift(), '');
    assert.deepEqual(await namesOf('messages'), ['messages_before']);
    assert.deepEqual((await list()).sort(), [...ids].sort());
    assert.deepEqual([await count('messages_before'), await count('messages_default')], [3, 2]);
    for (const id of ids) {
      assert.equal(Envelope.decode((await findMessage(store, org, id))!.envelope).id, id);
      await store.transaction((tx) => saveSettlements(tx, [settlementRow(org, id, Stage.CONFIRMED)]));
      const [found] = await findSettlements(store, org, [id], 10);
      assert.equal(found?.settlement.stage, Stage.CONFIRMED);
      assert.ok(found.settlement.hops.some((hop) => hop.stage === Stage.HELD));
    }
    // One of before that still runs can write.
    const { acceptedAtUs, ingressAtUs, fromAgent, to, envelope: bytes } = rowOf(org, idAt(NOON_MS));
    const written = idAt(NOON_MS);
    await store.query(
      `insert into messages (org, id, accepted_at_us, ingress_at_us, from_agent, to_address, correlation_id, envelope)
       values ($1, $2, $3, $4, $5, $6, $2, $7)`,
      [org, written, acceptedAtUs, ingressAtUs, fromAgent, to, bytes],
    );
    assert.equal((await findMessage(store, org, written))?.leftOutBytes, -1);
    await store.query('delete from messages where id = $1', [written]);
    // A repeat of what was there before is known.
    await saveMessages(store, [rowOf(org, ids[0]!), rowOf(org, idAt(NOON_MS))]);
    assert.equal(await count('messages'), ids.length + 1);
    const queued = await store.query<{ messages: number }>('select messages from words_queue order by seq');
    assert.deepEqual(
      queued.map(({ messages }) => messages),
      [ids.length, 1],
    );
    // What follows begins where the former tables end, and they go as one.
    await makePartitions(store, NOON_MS + DAY_MS, 30);
    const later = idAt(NOON_MS + DAY_MS);
    await saveMessages(store, [rowOf(org, later, NOON_MS + DAY_MS)]);
    assert.equal(await count('messages_20260922'), 1);
    assert.equal(await dropPartitions(store, NOON_MS + 29 * DAY_MS, 30), 0);
    assert.equal(await dropPartitions(store, NOON_MS + 31 * DAY_MS, 30), 4);
    assert.equal(await findMessage(store, org, ids[0]!), undefined);
    assert.ok(await findMessage(store, org, later));
  });

  it('makes partitions ahead, from where the last one ends, by two replicas at once', async () => {
    const replica = await open();
    await Promise.all([makePartitions(store, NOON_MS, 30), makePartitions(replica, NOON_MS, 30)]);
    await replica.close();
    const days = ['20260923', '20260922', '20260921', '20260920'];
    for (const table of TABLES)
      assert.deepEqual(
        await namesOf(table),
        days.map((day) => `${table}_${day}`),
      );
    assert.equal(await makePartitions(store, NOON_MS, 30), 0);
    // After a pause of five days nothing is left out; for ever, they are 30 days wide.
    assert.equal(await makePartitions(store, NOON_MS + 5 * DAY_MS, 30), 5);
    assert.equal(await makePartitions(store, NOON_MS + 60 * DAY_MS, 0), 5);
    const messages = (await listPartitions(store)).filter(({ table }) => table === 'messages');
    for (const [newer, older] of messages.slice(1).map((older, i) => [messages[i]!, older] as const))
      assert.equal(newer.from, older.to);
  });

  it('takes a table that is new into the ranges that are there, and into those that another release makes', async () => {
    await store.query('drop schema delivery cascade');
    await store.close();
    store = await open(BEFORE_ORIGINS);
    const made = ['messages', 'settlements', 'message_words'].map(
      (table) =>
        `create table ${table}_20260921 partition of ${table} for values from ('01k5n6h400') to ('01k5qrxg00')`,
    );
    for (const sql of made) await store.query(sql);
    await store.close();
    store = await open();
    const boundsOf = async (table: string) =>
      (await listPartitions(store)).filter((p) => p.table === table).map(({ from, to }) => `${from} ${to}`);
    assert.deepEqual(await boundsOf('origins'), ['01k5n6h400 01k5qrxg00']);
    await makePartitions(store, NOON_MS, 30);
    await store.query('drop table origins_20260923');
    assert.equal(await makePartitions(store, NOON_MS, 30), 1);
    assert.deepEqual(await boundsOf('origins'), await boundsOf('messages'));
  });

  it('moves in what the default partition holds of a new one, and leaves there what fits in none', async () => {
    const odd = [idAt(7), idAt(NOON_MS + 900 * DAY_MS), 'ZZ', 'zz'];
    const due = [idAt(NOON_MS), idAt(NOON_MS - 1), idAt(NOON_MS + 1)];
    await saveMessages(
      store,
      [...odd, ...due].map((id) => rowOf(org, id)),
    );
    for (const id of due)
      await store.transaction((tx) => saveSettlements(tx, [settlementRow(org, id, Stage.CONFIRMED)]));
    assert.equal(await count('messages_default'), 7);
    await makePartitions(store, NOON_MS, 30);
    assert.deepEqual([await count('messages_default'), await count('messages_20260921')], [4, 3]);
    assert.deepEqual([await count('settlements_default'), await count('settlements_20260921')], [0, 3]);
    assert.deepEqual((await list()).sort(), [...odd, ...due].sort());
    assert.equal((await list({ recipient: receiptFor(envelope(), Stage.HELD).recipient })).length, 3);
  });

  it('drops what is over, and by rows what has no partition; what was written meanwhile stays', async () => {
    await makePartitions(store, NOON_MS, 2);
    const [old, fresh] = [idAt(NOON_MS - DAY_MS), idAt(NOON_MS + DAY_MS)];
    const [wrongOld, wrongNew] = [idAt(9), idAt(9)];
    const late = NOON_MS + DAY_MS;
    await saveMessages(store, [
      rowOf(org, old),
      rowOf(org, fresh),
      rowOf(org, wrongOld),
      rowOf(org, wrongNew, late),
    ]);
    const nowMs = NOON_MS + 3 * DAY_MS;
    assert.equal(await dropPartitions(store, nowMs, 2), 4 * 2);
    const beforeUs = (nowMs - 2 * DAY_MS) * 1000;
    assert.equal(await deleteOlderThan(store, beforeUs, 100), 1);
    assert.deepEqual((await list()).sort(), [fresh, wrongNew].sort());
    assert.equal(await dropPartitions(store, nowMs, 0), 0);
  });

  it('does not wait for a reader for long, nor make writers wait', async () => {
    await makePartitions(store, NOON_MS, 2);
    await store.transaction(async (reading) => {
      await reading.query('select count(*) from messages');
      const started = performance.now();
      await assert.rejects(dropPartitions(store, NOON_MS + 30 * DAY_MS, 2));
      assert.ok(performance.now() - started < 10_000);
      await saveMessages(store, [rowOf(org, idAt(NOON_MS))]);
    });
    assert.ok((await dropPartitions(store, NOON_MS + 30 * DAY_MS, 2)) > 0);
  });
});

function oldSettlement({ org, messageId, recipient, settlement, storedAtUs }: SettlementRow): unknown[] {
  const receipt = receiptFor(envelope({ org, id: messageId }), settlement.stage as Stage);
  return [org, messageId, recipient, settlement.stage, storedAtUs, ReceiptCodec.encode(receipt).finish()];
}
