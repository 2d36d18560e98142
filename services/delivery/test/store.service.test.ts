/**
 * Goal: the tables hold what they are given, whoever else writes at the same time, and never another org's.
 * Method: a real PostgreSQL; two stores as two replicas write the same generated receipts in different orders and
 * batches at once, and the rows are compared with the pure merge; texts that PostgreSQL dislikes; paging to the end.
 */

import assert from 'node:assert/strict';
import type { Receipt } from '@fleetwire/gen/message';
import { Receipt as ReceiptCodec, Stage } from '@fleetwire/gen/message';
import { newId, newMessageId } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { openStore } from '@fleetwire/store';
import type { TestPostgres } from '@fleetwire/testkit';
import { eventually, startTestPostgres } from '@fleetwire/testkit';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import { settlementOf } from '../src/domain/settlement.ts';
import { combineSettlements } from '../src/handlers/receipts.ts';
import { entities } from '../src/store/entities.ts';
import { listMessages, type MessageFilter } from '../src/store/message-list.ts';
import type { MessageRow } from '../src/store/message-table.ts';
import { findMessage, saveMessages } from '../src/store/message-table.ts';
import { migrations } from '../src/store/migrations.ts';
import type { SettlementRow } from '../src/store/settlement-table.ts';
import { findSettlements, saveSettlements } from '../src/store/settlement-table.ts';
import { envelope, receiptFor } from './sample-traffic.ts';

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
const MiB = 1024 * 1024;

describe('delivery store', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  let replica: Store;

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 3 };
    [store, replica] = await Promise.all([
      openStore({ ...options, applicationName: 'one' }),
      openStore({ ...options, applicationName: 'two' }),
    ]);
  });

  after(async () => {
    await replica.close();
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  function rowOf(org: string, receipt: Receipt, publisher = 'n_b', encoded = true): SettlementRow {
    const settlement = settlementOf(receipt, publisher, 7)!;
    const { messageId, recipient } = receipt;
    const asCame = encoded && settlement.hops === receipt.hops;
    const bytes = asCame ? ReceiptCodec.encode(receipt).finish() : undefined;
    return { org, messageId, recipient, settlement, storedAtUs: 7, encoded: bytes };
  }

  function messageRow(org: string, more: Partial<MessageRow> = {}): MessageRow {
    const { id, acceptedAtUs, fromAgent, to, correlationId } = envelope();
    const bytes = new Uint8Array([1, 2, 3]);
    const row = { org, id, acceptedAtUs, ingressAtUs: 5, fromAgent, to, correlationId, envelope: bytes };
    const rest = { deadlineUs: 6, leftOutBytes: -1, usedBytes: 3, searched: false };
    return { ...row, ...rest, ...more };
  }

  const list = (org: string, filter: Partial<MessageFilter>, rows: number, bytes: number) =>
    listMessages(store, org, { ...ALL, ...filter }, [], Date.now(), { rows, bytes, walked: 10_000 });

  it('the entities and the migrations agree', async () => {
    assert.equal(await store.drift(), '');
  });

  it('two replicas with the same receipts in different orders end the same as the pure merge', async () => {
    const stages = [Stage.ROUTED, Stage.HELD, Stage.DELIVERED, Stage.CONFIRMED, Stage.UNCONFIRMED];
    const kinds = fc.array(
      fc.record({
        which: fc.nat(3),
        stage: fc.constantFrom(...stages, Stage.EXPIRED, Stage.RETURNED, Stage.DEAD),
        later: fc.nat(9),
      }),
      { minLength: 4, maxLength: 24 },
    );
    const law = fc.asyncProperty(kinds, fc.infiniteStream(fc.nat()), async (all, random) => {
      const org = newId('org');
      const messages = Array.from({ length: 4 }, () => envelope({ org }));
      const rows = all.map(({ which, stage, later }) => {
        const message = messages[which]!;
        const moved = { ...message, acceptedAtUs: message.acceptedAtUs + later };
        return rowOf(org, receiptFor(moved, stage), later % 2 === 0 ? 'n_b' : 'delivery');
      });
      const shuffled = () => {
        const keyed = rows.map((row) => ({ row, key: random.next().value as number }));
        return keyed.sort((a, b) => a.key - b.key).map(({ row }) => row);
      };
      const saveInBatches = async (to: Store, some: SettlementRow[]) => {
        for (let i = 0; i < some.length; i += 5)
          await to.transaction((tx) => saveSettlements(tx, combineSettlements(some.slice(i, i + 5))));
      };
      await Promise.all([saveInBatches(store, shuffled()), saveInBatches(replica, shuffled())]);
      const expected = combineSettlements([...rows]);
      const ids = expected.map((row) => row.messageId);
      const found = await findSettlements(store, org, ids, 10);
      assert.deepEqual(
        found.map(({ messageId, settlement }) => ({ messageId, settlement })),
        expected.map(({ messageId, settlement }) => ({ messageId, settlement })),
      );
      const columns = await store.query<{ stage: number; final: boolean; at: number }>(
        'select stage, final, at_us as at from settlements where org = $1 order by message_id',
        [org],
      );
      const wanted = expected.map(({ settlement: s }) => ({ stage: s.stage, final: s.final, at: s.atUs }));
      assert.deepEqual(columns, wanted);
    });
    await fc.assert(law, { numRuns: 40 });
  });

  it('a replica that merges the same row waits for the other, and loses nothing of it', async () => {
    const org = newId('org');
    const message = envelope({ org });
    const rows = (stage: Stage) => [rowOf(org, receiptFor(message, stage))];
    await store.transaction((tx) => saveSettlements(tx, rows(Stage.HELD)));
    let other: Promise<void> | undefined;
    let otherDone = false;
    const otherWaits = async () => {
      const sql = `select 1 as one from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`;
      return otherDone || (await store.query(sql, [postgres.database])).length === 1;
    };
    await store.transaction((tx) => {
      const query: typeof tx.query = async (sql, params) => {
        if (/^\s*update/.test(sql)) {
          // Read and about to write: the moment in which another writer would be overwritten.
          other = replica.transaction((second) => saveSettlements(second, rows(Stage.CONFIRMED)));
          void other.then(() => {
            otherDone = true;
          });
          await eventually(otherWaits);
        }
        return tx.query(sql, params);
      };
      return saveSettlements({ em: tx.em, query }, rows(Stage.UNCONFIRMED));
    });
    await other;
    const [found] = await findSettlements(store, org, [message.id], 10);
    assert.equal(found?.settlement.stage, Stage.CONFIRMED);
    assert.ok(found.settlement.hops.some((h) => h.stage === Stage.UNCONFIRMED));
  });

  it('a first receipt is one statement, and a repeat writes nothing', async () => {
    const org = newId('org');
    const rows = [rowOf(org, receiptFor(envelope({ org }), Stage.CONFIRMED))];
    const statements: string[] = [];
    const save = () =>
      store.transaction((tx) => {
        const query: typeof tx.query = (sql, params) => {
          statements.push(sql);
          return tx.query(sql, params);
        };
        return saveSettlements({ em: tx.em, query }, rows);
      });
    await save();
    assert.equal(statements.length, 1);
    await save();
    assert.ok(!statements.some((sql) => /^\s*update/.test(sql)));
  });

  it('takes texts with NUL, quotes, backslashes and lone surrogates, and any length', async () => {
    const org = newId('org');
    const odd = 'a\0b"c\\d{e},NULL\ud800';
    const row = messageRow(org, { fromAgent: odd, to: odd, correlationId: odd.repeat(1000) });
    await saveMessages(store, [row]);
    const receipt = receiptFor(envelope({ org, id: row.id, to: odd }), Stage.RETURNED, {
      reason: odd,
      detail: odd,
    });
    await store.transaction((tx) => saveSettlements(tx, [rowOf(org, receipt)]));
    assert.equal((await findMessage(store, org, row.id))?.id, row.id);
    const found = await list(org, { correlationId: row.correlationId }, 10, MiB);
    assert.deepEqual(
      found.rows.map((r) => r.id),
      [row.id],
    );
    const [settlement] = await findSettlements(store, org, [row.id], 10);
    assert.equal(settlement?.settlement.reason, odd.replace('\ud800', '\ufffd'));
  });

  it('keeps the same id in two orgs apart', async () => {
    const [mine, theirs] = [newId('org'), newId('org')];
    const id = newMessageId();
    await saveMessages(store, [messageRow(mine, { id, envelope: new Uint8Array([1]) })]);
    await saveMessages(store, [messageRow(theirs, { id, envelope: new Uint8Array([2]) })]);
    assert.deepEqual([...(await findMessage(store, mine, id))!.envelope], [1]);
    const receipt = receiptFor(envelope({ org: theirs, id }), Stage.DEAD);
    await store.transaction((tx) => saveSettlements(tx, [rowOf(theirs, receipt)]));
    assert.deepEqual(await findSettlements(store, mine, [id], 10), []);
  });

  it('pages newest first, without a gap or a repeat, within the bound of bytes', async () => {
    const org = newId('org');
    const rows = Array.from({ length: 23 }, (_, i) =>
      messageRow(org, { acceptedAtUs: 1000 + Math.floor(i / 3), envelope: new Uint8Array(100) }),
    );
    await saveMessages(store, rows);
    const expected = rows
      .map((row) => row.id)
      .sort()
      .reverse();
    for (const [limit, bytes] of [
      [4, MiB],
      [23, MiB],
      [10, 250],
      [10, 1],
    ] as const) {
      const seen: string[] = [];
      for (let below: string | undefined = ''; below !== undefined; ) {
        const page = await list(org, { below }, limit, bytes);
        assert.ok(page.rows.length > 0 && page.rows.length <= limit);
        assert.ok(page.rows.length === 1 || page.rows.length * 100 < bytes + 100);
        seen.push(...page.rows.map((row) => row.id));
        below = page.next;
      }
      assert.deepEqual(seen, expected);
    }
  });

  it('filters by correlation, sender and recipient', async () => {
    const org = newId('org');
    const rows = [
      messageRow(org, { correlationId: 'c1', fromAgent: 'a_1' }),
      messageRow(org, { correlationId: 'c1', fromAgent: 'a_2' }),
      messageRow(org, { correlationId: 'c2', fromAgent: 'a_1' }),
    ];
    await saveMessages(store, rows);
    const receipt = receiptFor(envelope({ org, id: rows[2]!.id }), Stage.CONFIRMED, { recipient: 'a_9' });
    await store.transaction((tx) => saveSettlements(tx, [rowOf(org, receipt)]));
    const ids = async (filter: Partial<MessageFilter>) =>
      (await list(org, filter, 10, MiB)).rows.map((row) => row.id).sort();
    const pick = (...which: number[]) => which.map((i) => rows[i]!.id).sort();
    assert.deepEqual(await ids({ correlationId: 'c1' }), pick(0, 1));
    assert.deepEqual(await ids({ fromAgent: 'a_1' }), pick(0, 2));
    assert.deepEqual(await ids({ correlationId: 'c1', fromAgent: 'a_1' }), pick(0));
    assert.deepEqual(await ids({ recipient: 'a_9' }), pick(2));
    assert.deepEqual(await ids({ recipient: 'a_none' }), []);
  });
});
