/**
 * Goal: what is past its time ends for all who have no end, once, and for nobody else, however many they are.
 * Method: the sweep on a real PostgreSQL; the streams are said to be read, and what it publishes is looked at.
 */

import assert from 'node:assert/strict';
import { dedupeIds } from '@fleetwire/broker';
import { type Envelope, type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { newId } from '@fleetwire/kernel';
import { openStore, type Store } from '@fleetwire/store';
import { startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import type { HistoryMode } from '../src/domain/history-mode.ts';
import { settlementOf } from '../src/domain/settlement.ts';
import { historySource } from '../src/handlers/history.ts';
import { OverdueSweep, type OverdueSweepOptions } from '../src/handlers/overdue-sweep.ts';
import { combineSettlements } from '../src/handlers/receipts.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import { saveSettlements } from '../src/store/settlement-table.ts';
import * as sample from './sample-traffic.ts';

const { ACCEPTED, ROUTED, HELD, CONFIRMED, EXPIRED } = Stage;
/** Steps of the watermark until it is there. */
const RUNS = 4;
const HOUR_US = 3_600_000_000;

describe('what is past its time', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  let nowUs = 1_790_000_000_000_000;

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 4 };
    store = await openStore({ ...options, applicationName: 'overdue' });
  });
  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  /** Sent just now, and late by the next sweep. */
  async function send(messages: readonly Envelope[], mode: HistoryMode = 'full'): Promise<void> {
    const source = historySource(store, { keep: () => mode, tell: () => 'off' });
    const pack = sample.pulled(sample.INGRESS_SUBJECT, sample.ingressPack(messages), nowUs);
    await source.save(source.combine([...source.read(pack).rows]));
  }

  async function say(from: string, receipts: readonly Receipt[]): Promise<void> {
    const rows = receipts.map((receipt) => {
      const { messageId, recipient } = receipt;
      const settlement = settlementOf(receipt, from, nowUs)!;
      return { org: sample.ORG, messageId, recipient, settlement, storedAtUs: nowUs, encoded: undefined };
    });
    await store.transaction((tx) => saveSettlements(tx, combineSettlements(rows)));
  }

  /** An hour later: what is ended, by message, and stored as any receipt. */
  async function sweep(): Promise<Map<string, Receipt[]>> {
    nowUs += HOUR_US;
    const ended: Receipt[] = [];
    const options: OverdueSweepOptions = {
      broker: {
        streams: { state: async () => ({ firstSequence: 1, lastSequence: 0 }) },
        consumers: { info: async () => ({ numPending: 0, numAckPending: 0, ackFloor: 0 }) },
        store: async (_: string, data: Uint8Array) => void ended.push(...ReceiptBatch.decode(data).receipts),
      } as unknown as OverdueSweepOptions['broker'],
      store,
      receiptIds: dedupeIds(new Uint8Array(32)),
      clock: { nowUs: () => nowUs },
      instance: 'd',
      hasNode: () => true,
      limits: { silentMs: 100, lookMax: 10_000 },
    };
    const overdue = new OverdueSweep(options);
    const plan = { readTo: 0, firstDeadlineUs: Number.MAX_SAFE_INTEGER };
    for (let i = 0; i < RUNS; i++)
      await overdue.run(plan as unknown as Parameters<OverdueSweep['run']>[0], () => true);
    await say('delivery', ended);
    return Map.groupBy(ended, ({ messageId }) => messageId);
  }

  const count = (message: Envelope, fanOut: number) =>
    sample.receiptFor(message, ROUTED, { recipient: '', recipientName: '', fanOut });
  const to = (recipient: string) => ({ recipient, recipientName: '' });

  const shown = (ends: readonly Receipt[] | undefined) =>
    (ends ?? []).map(({ recipient, stage, reason }) => [recipient, stage, reason]);
  const silent = (recipient: string) => [recipient, EXPIRED, 'NODE_SILENT'];

  it('ends as silent where the org keeps all, and where it keeps nothing', async () => {
    for (const mode of ['full', 'off'] as const) {
      const [held, unheard, done, toMany] = [
        sample.envelope(),
        sample.envelope(),
        sample.envelope(),
        sample.envelope({ to: '#all' }),
      ];
      await send([held, unheard, done, toMany], mode);
      await say(sample.NODE_B, [sample.receiptFor(held, HELD), sample.receiptFor(done, CONFIRMED)]);
      const ends = await sweep();
      assert.deepEqual(shown(ends.get(held.id)), [silent(sample.BOB)], mode);
      const [{ to: address, fromAgent, recipientName, correlationId }] = ends.get(held.id) as [Receipt];
      assert.deepEqual(
        [address, fromAgent, recipientName, correlationId],
        [held.to, held.fromAgent, 'bob', held.correlationId],
      );
      assert.deepEqual(shown(ends.get(unheard.id)), [silent('')], mode);
      assert.deepEqual([ends.get(done.id), ends.get(toMany.id)], [undefined, undefined], mode);
      assert.equal((await sweep()).size, 0);
    }
  });

  it('counts those whom the sender’s node has as others, unless it has served them itself', async () => {
    const [routed, served, heard] = [
      sample.envelope({ to: '*' }),
      sample.envelope({ to: '*', localServed: true }),
      sample.envelope({ to: '*', localServed: true }),
    ];
    await send([routed, served, heard]);
    for (const [message, fanOut] of [
      [routed, 2],
      [served, 1],
      [heard, 1],
    ] as const) {
      await say('router', [count(message, fanOut)]);
      await say(sample.NODE_A, [sample.receiptFor(message, CONFIRMED, to(sample.ALICE))]);
    }
    for (const message of [routed, heard]) await say(sample.NODE_B, [sample.receiptFor(message, CONFIRMED)]);
    const ends = await sweep();
    assert.deepEqual(shown(ends.get(served.id)), [silent('')]);
    assert.deepEqual([ends.get(routed.id), ends.get(heard.id)], [undefined, undefined]);
  });

  it('is found among ten thousand recipients, who are counted and not read', async () => {
    const [all, some] = [sample.envelope({ to: '*' }), sample.envelope({ to: '*' })];
    const agents = Array.from({ length: 10_000 }, () => newId('agent'));
    await send([all, some]);
    await say('router', [count(all, agents.length), count(some, agents.length)]);
    await say(
      sample.NODE_B,
      agents.map((agent) => sample.receiptFor(all, CONFIRMED, to(agent))),
    );
    const held = agents.filter((_, i) => i % 40 === 0);
    await say(
      sample.NODE_B,
      agents
        .slice(1)
        .map((agent) => sample.receiptFor(some, held.includes(agent) ? HELD : CONFIRMED, to(agent))),
    );
    const ends = await sweep();
    assert.equal(ends.get(all.id), undefined);
    const found = ends.get(some.id)!;
    assert.ok(found.every(({ stage }) => stage === EXPIRED));
    assert.deepEqual(found.map(({ recipient }) => recipient).toSorted(), ['', ...held.slice(1)].toSorted());
  });

  it('waits for a later attempt of one recipient, and does not let the others wait', async () => {
    const message = sample.envelope({ to: '*', ttlMs: 2 * 3_600_000 - 1000 });
    await send([message]);
    nowUs += HOUR_US;
    await say('router', [count(message, 2)]);
    const again = sample.hop(ACCEPTED, 'd_1', nowUs + 500_000, { attempt: 1 });
    const hops = [...sample.receiptFor(message, HELD).hops, again];
    await say(sample.NODE_B, [
      sample.receiptFor(message, HELD),
      sample.receiptFor(message, ACCEPTED, { ...to(sample.CAROL), attempt: 1, hops }),
    ]);
    const first = [await sweep(), await sweep()].map((ends) => shown(ends.get(message.id)));
    assert.deepEqual(first, [[silent(sample.BOB)], [silent(sample.CAROL)]]);
  });

  it('is late however far ahead a node says that a later attempt began', async () => {
    const message = sample.envelope();
    await send([message]);
    const hops = [sample.hop(HELD, sample.NODE_B, 9e15, { attempt: 1 })];
    await say(sample.NODE_B, [sample.receiptFor(message, HELD, { attempt: 1, hops })]);
    assert.deepEqual(shown((await sweep()).get(message.id)), [silent(sample.BOB)]);
  });
});
