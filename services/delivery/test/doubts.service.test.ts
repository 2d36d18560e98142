/**
 * Goal: a receipt in doubt settles nothing until it is known whose word it is, is never refused by a race, and when it is
 * refused it is kept, counted and told.
 * Method: the ingest sources and the doubts on a real PostgreSQL; what the registry and history know is in the test's hands.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { nodeDeadSubject, receiptSubject } from '@fleetwire/contract';
import {
  DeadLetter,
  type Envelope,
  Envelope as EnvelopeCodec,
  type Receipt,
  Stage,
} from '@fleetwire/gen/message';
import { FleetwireError, newId } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { openStore } from '@fleetwire/store';
import { eventually, silentLog, startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Homes } from '../src/domain/homes.ts';
import type { HomesOf } from '../src/domain/verdict.ts';
import { deadLetterSource } from '../src/handlers/dead-letters.ts';
import { Doubts } from '../src/handlers/doubts.ts';
import { historySource } from '../src/handlers/history.ts';
import type { IngestSource } from '../src/handlers/ingest-loop.ts';
import { receiptSource } from '../src/handlers/receipts.ts';
import type { Rejected } from '../src/handlers/reject-desk.ts';
import { DoubtRoom } from '../src/store/doubt-room.ts';
import { type DueDoubts, dueDoubts, putOffDoubts, saveDoubts } from '../src/store/doubt-table.ts';
import { entities } from '../src/store/entities.ts';
import { BODIES_AT_ONCE } from '../src/store/envelopes.ts';
import { findMessage } from '../src/store/message-table.ts';
import { migrations } from '../src/store/migrations.ts';
import { findSenders } from '../src/store/origin-table.ts';
import { findSettlements } from '../src/store/settlement-table.ts';
import * as sample from './sample-traffic.ts';

const { CONFIRMED, EXPIRED, DEAD, UNCONFIRMED } = Stage;
const EVIL = newId('node');
const MOVED = newId('agent');
const INGRESS_LAST = 50;

describe('receipts in doubt', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  let doubts: Doubts[];
  let sequence = 0;
  let away: boolean;
  let awayOrg: string;
  let readUpTo: number;
  let ingress: { last: number; made: string };
  let homes: Map<string, HomesOf>;
  const kept: Rejected[] = [];
  const denied: string[] = [];
  const received: string[] = [];

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 6 };
    store = await openStore({ ...options, applicationName: 'doubts' });
  });
  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    away = false;
    awayOrg = '';
    readUpTo = 0;
    ingress = { last: INGRESS_LAST, made: 'first' };
    kept.length = denied.length = received.length = 0;
    homes = new Map([
      [sample.BOB, { current: [sample.NODE_B], former: [] }],
      [MOVED, { current: [sample.NODE_B], former: [{ node: sample.NODE_A, leftAtUs: 9_000_000 }] }],
    ]);
    // Two replicas look at the same ones.
    doubts = [1, 2].map(() => new Doubts(parts()));
    for (const each of doubts) each.start();
  });
  afterEach(async () => {
    for (const each of doubts) await each.stop();
    await store.query('delete from doubts');
  });

  const parts = (): ConstructorParameters<typeof Doubts>[0] => ({
    store,
    ask: async (org, agents) => {
      if (away || org === awayOrg) throw new FleetwireError('unavailable', 'NOT_CONNECTED', 'away');
      return new Map(agents.map((agent) => [agent, homes.get(agent) ?? { current: [], former: [] }]));
    },
    progress: async () => ({ readUpTo, ...ingress }),
    desk: { take: async (_, rejected) => kept.push(...rejected) > 0 },
    denied: { add: ({ publisher }, reason) => void denied.push(`${publisher} ${reason}`) },
    contradicted: () => undefined,
    received: async (rows) => void received.push(...rows.map((row) => row.messageId)),
    log: silentLog,
    intervalMs: 10,
    limit: 1000,
  });

  function pulled(subject: string, data: Uint8Array): PulledMessage {
    const place = { sequence: ++sequence, deliverySequence: sequence, deliveries: 1, storedAtUs: 8_000_000 };
    return {
      subject,
      data,
      ...place,
      header: () => '',
      ack: () => undefined,
      nak: () => undefined,
      working: () => undefined,
    };
  }
  async function ingest<Row>(source: IngestSource<Row>, message: PulledMessage): Promise<void> {
    await source.save(source.combine([...source.read(message).rows]));
  }
  const arrive = (message: Envelope) =>
    ingest(historySource(store), pulled(sample.INGRESS_SUBJECT, sample.ingressPack([message])));
  /** Nothing is known of the routes yet, as right after a start. */
  const say = (
    from: string,
    receipt: Receipt,
    toNode = sample.NODE_A,
    known: Pick<Homes, 'isHome'> = NOBODY,
  ) =>
    ingest(
      receiptSource({ store, homes: known }),
      pulled(receiptSubject.build({ org: sample.ORG, toNode, from }), sample.receiptBatch([receipt])),
    );
  const NOBODY = { isHome: () => false };
  const settled = async ({ id }: Envelope) =>
    (await findSettlements(store, sample.ORG, [id], 9)).map(({ settlement: { stage } }) => stage);
  const open = async () => (await store.query<{ n: number }>('select count(*)::int as n from doubts'))[0]!.n;
  const until = (wanted: number) => eventually(async () => (await open()) === wanted);

  it('settle once the registry says so, whatever else comes meanwhile, and once for two replicas', async () => {
    away = true;
    const messages = [sample.envelope(), sample.envelope()];
    for (const message of messages) await say(sample.NODE_B, sample.receiptFor(message, UNCONFIRMED));
    await say(sample.NODE_B, sample.receiptFor(messages[0]!, CONFIRMED), sample.NODE_A, sample.homes());
    assert.deepEqual(await settled(messages[0]!), [CONFIRMED]);
    assert.deepEqual(await settled(messages[1]!), []);
    assert.equal(await open(), 2);
    away = false;
    await until(0);
    assert.deepEqual(await settled(messages[0]!), [CONFIRMED]);
    assert.deepEqual(await settled(messages[1]!), [UNCONFIRMED]);
    assert.equal(doubts[0]!.stats.believed + doubts[1]!.stats.believed, 2);
    assert.deepEqual([kept, denied], [[], []]);
    // Of each that is believed, whoever wants to be told is told, by either replica or both.
    assert.deepEqual([...new Set(received)].toSorted(), messages.map(({ id }) => id).toSorted());
  });

  it('of one org wait alone while the registry cannot be asked for it', async () => {
    awayOrg = newId('org');
    const [theirs, ours] = [sample.envelope(), sample.envelope()];
    const subject = receiptSubject.build({ org: awayOrg, toNode: sample.NODE_A, from: sample.NODE_B });
    const batch = sample.receiptBatch([sample.receiptFor(theirs, CONFIRMED)]);
    await ingest(receiptSource({ store, homes: NOBODY }), pulled(subject, batch));
    await say(sample.NODE_B, sample.receiptFor(ours, CONFIRMED));
    await until(1);
    assert.deepEqual(await settled(ours), [CONFIRMED]);
  });

  it('are refused of any other node, kept, and told of once, and the true end counts', async () => {
    const message = sample.envelope();
    for (const stage of [CONFIRMED, DEAD, EXPIRED]) await say(EVIL, sample.receiptFor(message, stage));
    await until(0);
    assert.deepEqual(await settled(message), []);
    assert.deepEqual(
      denied,
      Array.from({ length: 3 }, () => `${EVIL} RECEIPT_FORGED`),
    );
    assert.ok(kept.length >= 3 && kept.every(({ keep, reason }) => keep && reason === 'RECEIPT_FORGED'));
    await say(sample.NODE_B, sample.receiptFor(message, CONFIRMED), sample.NODE_A, sample.homes());
    assert.deepEqual(await settled(message), [CONFIRMED]);
  });

  it('of who claims to have sent it wait for history, which says who did', async () => {
    const [own, stolen] = [sample.envelope(), sample.envelope()];
    const expired = (message: Envelope) => {
      const hops = [sample.hop(Stage.ACCEPTED, sample.NODE_A, 1), sample.hop(EXPIRED, sample.NODE_A, 2)];
      return sample.receiptFor(message, EXPIRED, { hops });
    };
    await say(sample.NODE_A, expired(own), sample.NODE_A);
    await say(EVIL, expired(stolen), EVIL);
    await eventually(() => doubts.some(({ stats }) => stats.put_off >= 2));
    assert.deepEqual([await settled(own), await settled(stolen), denied], [[], [], []]);
    await arrive(stolen);
    await eventually(() => denied.length === 1);
    assert.deepEqual(await settled(stolen), []);
    // It never left its node: history has read all that could have brought it.
    readUpTo = INGRESS_LAST;
    await until(0);
    assert.deepEqual(await settled(own), [EXPIRED]);
  });

  it('wait for all of ingress anew when its stream was made anew, whatever its sequences were', async () => {
    const [lost, stolen] = [sample.envelope(), sample.envelope()];
    const expired = (message: Envelope, node: string) => {
      const hops = [sample.hop(Stage.ACCEPTED, node, 1), sample.hop(EXPIRED, node, 2)];
      return sample.receiptFor(message, EXPIRED, { hops });
    };
    const looks = () => doubts.reduce((sum, { stats }) => sum + stats.put_off, 0);
    await say(EVIL, expired(stolen, EVIL), EVIL);
    await eventually(() => looks() >= 1);
    // Further than where the first one ended, and still not all of the second.
    readUpTo = INGRESS_LAST + 10;
    ingress = { last: INGRESS_LAST + 20, made: 'second' };
    const seen = looks();
    await eventually(() => looks() > seen);
    assert.deepEqual(await settled(stolen), []);
    await arrive(stolen);
    await eventually(() => denied.length === 1);
    // Never as far as the second one was.
    await say(sample.NODE_A, expired(lost, sample.NODE_A), sample.NODE_A);
    await eventually(() => looks() > seen + 1);
    readUpTo = 3;
    ingress = { last: 3, made: 'third' };
    await until(0);
    assert.deepEqual([await settled(stolen), await settled(lost)], [[], [EXPIRED]]);
  });

  it('of where the agent lived before count for mail of that time alone', async () => {
    const [early, late] = [sample.envelope(), sample.envelope()];
    await arrive(early);
    await ingest(historySource(store), {
      ...pulled(sample.INGRESS_SUBJECT, sample.ingressPack([late])),
      storedAtUs: 9_000_000 + 61_000_000,
    });
    for (const message of [early, late])
      await say(sample.NODE_A, sample.receiptFor(message, CONFIRMED, { recipient: MOVED }), sample.NODE_B);
    await until(0);
    assert.deepEqual([await settled(early), await settled(late)], [[CONFIRMED], []]);
    assert.deepEqual(denied, [`${sample.NODE_A} RECEIPT_FORGED`]);
  });

  it('are judged alike where an org keeps no history, of which nothing is shown', async () => {
    const source = historySource(store, { keep: () => 'off', tell: () => 'off' });
    const sent = [sample.envelope(), sample.envelope(), sample.envelope()] as const;
    const [stolen, late, own] = sent;
    const used = async () =>
      (
        await store.query<{ n: number }>('select messages as n from usage_days where org = $1', [sample.ORG])
      )[0]?.n ?? 0;
    const before = await used();
    const pack = pulled(sample.INGRESS_SUBJECT, sample.ingressPack([...sent]));
    // A repeat is one, by whichever way it is written.
    for (let i = 0; i < 3; i++) await ingest(source, { ...pack, storedAtUs: 9_000_000 + 61_000_000 });
    assert.equal(await used(), before + sent.length);
    const hops = [sample.hop(Stage.ACCEPTED, EVIL, 1), sample.hop(EXPIRED, EVIL, 2)];
    await say(EVIL, sample.receiptFor(stolen, EXPIRED, { hops }), EVIL);
    await say(sample.NODE_A, sample.receiptFor(late, CONFIRMED, { recipient: MOVED }), sample.NODE_B);
    const ownHops = hops.map((hop) => ({ ...hop, instance: sample.NODE_A }));
    await say(sample.NODE_A, sample.receiptFor(own, EXPIRED, { hops: ownHops }), sample.NODE_A);
    await until(0);
    assert.deepEqual(
      denied.toSorted(),
      [`${EVIL} RECEIPT_FORGED`, `${sample.NODE_A} RECEIPT_FORGED`].toSorted(),
    );
    assert.deepEqual([await settled(stolen), await settled(late), await settled(own)], [[], [], [EXPIRED]]);
    for (const { id } of sent) assert.equal(await findMessage(store, sample.ORG, id), undefined);
  });

  it('of one node leave others their share, and are looked at again each by its own looks', async () => {
    for (const each of doubts) await each.stop();
    for (let i = 0; i < 30; i++) await say(EVIL, sample.receiptFor(sample.envelope(), CONFIRMED));
    const mine = sample.envelope();
    await say(sample.NODE_B, sample.receiptFor(mine, CONFIRMED));
    const by = (found: DueDoubts) => found.doubts.map(({ publisher }) => publisher);
    const first = await dueDoubts(store, 10);
    assert.deepEqual(
      [by(first).filter((one) => one === EVIL).length, by(first).length, first.more],
      [5, 6, true],
    );
    assert.ok(first.doubts.some(({ messageId }) => messageId === mine.id));
    // With more nodes than may be looked at, whoever has waited longest.
    assert.deepEqual(by(await dueDoubts(store, 1)), [EVIL]);
    await putOffDoubts(store, first.doubts, { last: 1, made: 'first' });
    await store.query('update doubts set looks = 4 where looks = 1 and publisher = $1', [EVIL]);
    await putOffDoubts(store, first.doubts, { last: 1, made: 'first' });
    const pauses = await store.query<{ ms: number }>(
      `select distinct (extract(epoch from look_at - min(look_at) filter (where looks > 0) over ()) * 1000)::int as ms
       from doubts where looks > 0 order by ms`,
    );
    assert.deepEqual(
      pauses.map(({ ms }) => ms),
      [0, 250 * 2 ** 4 - 250 * 2],
    );
    assert.deepEqual(
      by(await dueDoubts(store, 100)),
      Array.from({ length: 25 }, () => EVIL),
    );
  });

  it('of one node are kept up to a number, and what is beyond is refused with its reason', async () => {
    for (const each of doubts) await each.stop();
    const source = receiptSource({ store, homes: NOBODY, room: new DoubtRoom(3) });
    const receipts = Array.from({ length: 5 }, () => sample.receiptFor(sample.envelope(), CONFIRMED));
    const subject = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: EVIL });
    const flood = pulled(subject, sample.receiptBatch(receipts));
    const save = async (message: PulledMessage) => {
      const refused: Rejected[] = [];
      const rows = source.combine([...source.read(message).rows]);
      await source.save(rows, (row, error) => refused.push(source.refuse(row, error)));
      return refused.map(({ part, reason, keep }) => [part, reason, keep]);
    };
    const beyond = [3, 4].map((part) => [part, 'RECEIPT_DOUBTS_FULL', true]);
    // Written again, since its acknowledgement was lost, it is the same.
    assert.deepEqual([await save(flood), await save(flood)], [beyond, beyond]);
    assert.equal(await open(), 3);
    const others = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: sample.NODE_B });
    assert.deepEqual(await save(pulled(others, sample.receiptBatch(receipts.slice(0, 3)))), []);
    // Large ones are as many.
    const detail = 'x'.repeat(1100);
    const large = receipts.map((receipt) => ({ ...receipt, detail, to: '' })).slice(0, 2);
    const elsewhere = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: newId('node') });
    const second = [[1, 'RECEIPT_DOUBTS_FULL', true]];
    assert.deepEqual(await save(pulled(elsewhere, sample.receiptBatch(large))), second);
    // What has been decided meanwhile has left its room.
    await store.query('delete from doubts');
    await eventually(async () => (await save(pulled(subject, sample.receiptBatch(receipts)))).length === 2);
  });

  it('of a busy node are all kept while the registry is away, and settle when it is back', async () => {
    away = true;
    const source = receiptSource({ store, homes: NOBODY });
    const subject = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: sample.NODE_B });
    const refused: unknown[] = [];
    for (let i = 0; i < 12; i++) {
      const receipts = Array.from({ length: 1000 }, () => sample.receiptFor(sample.envelope(), CONFIRMED));
      const { rows } = source.read(pulled(subject, sample.receiptBatch(receipts)));
      await source.save(source.combine([...rows]), (_, error) => refused.push(error));
    }
    assert.deepEqual([refused.length, await open()], [0, 12_000]);
    away = false;
    await until(0);
    await eventually(() => doubts[0]!.stats.believed + doubts[1]!.stats.believed === 12_000);
  });

  it('are looked at again at once while some can be decided', async () => {
    for (const each of doubts) await each.stop();
    for (let i = 0; i < 30; i++) await say(sample.NODE_B, sample.receiptFor(sample.envelope(), CONFIRMED));
    doubts = [new Doubts({ ...parts(), intervalMs: 3_600_000, limit: 10 })];
    doubts[0]!.start();
    await until(0);
  });

  it('that are large are looked at some at a time, and leave others their share', async () => {
    for (const each of doubts) await each.stop();
    const receipt = new Uint8Array(6 * 1024 * 1024);
    const row = { stream: 'RECEIPTS', part: 0, storedAtUs: 1, org: sample.ORG, messageId: 'm' } as const;
    const word = { recipient: sample.BOB, toNode: sample.NODE_A };
    const ofEvil = [1, 2, 3].map((n) => ({ ...row, ...word, sequence: n, publisher: EVIL, receipt }));
    const other = { ...row, ...word, sequence: 4, publisher: sample.NODE_B, receipt: new Uint8Array(1) };
    await store.transaction((tx) => saveDoubts(tx, [...ofEvil, other], new DoubtRoom(1_000_000)));
    const due = await dueDoubts(store, 100);
    const found = due.doubts.map(({ publisher }) => publisher);
    assert.deepEqual(found.toSorted(), [EVIL, EVIL, sample.NODE_B].toSorted());
  });

  it('are judged by messages of which only some are in memory together', async () => {
    const messages = Array.from({ length: 40 }, () => sample.envelope());
    const pack = pulled(sample.INGRESS_SUBJECT, sample.ingressPack(messages));
    await ingest(historySource(store), pack);
    const sizes: number[] = [];
    const query: Store['query'] = async (...asked) => {
      const rows = await store.query<never>(...asked);
      sizes.push(rows.length);
      return rows;
    };
    const ids = messages.map(({ id }) => id);
    const found = await findSenders({ query }, sample.ORG, ids);
    assert.deepEqual(found.map(({ id }) => id).toSorted(), ids.toSorted());
    assert.ok(found.every(({ node }) => node === sample.NODE_A));
    assert.equal(Math.max(...sizes), BODIES_AT_ONCE);
  });

  it('in a dead letter of a node leave the letter as it is, and settle nothing', async () => {
    const message = sample.envelope();
    await arrive(message);
    const hops = [sample.hop(DEAD, EVIL, 5, { reason: 'QUEUE_OVERFLOW' })];
    const envelope = EnvelopeCodec.encode(message).finish();
    const letter = DeadLetter.fromPartial({ envelope, decoded: true, reason: 'QUEUE_OVERFLOW', hops });
    const subject = nodeDeadSubject.build({ org: sample.ORG, agent: sample.BOB, node: EVIL });
    await ingest(deadLetterSource(store, NOBODY), pulled(subject, DeadLetter.encode(letter).finish()));
    await until(0);
    assert.deepEqual(await settled(message), []);
    assert.deepEqual([kept.length, denied], [0, [`${EVIL} RECEIPT_FORGED`]]);
  });
});
