/**
 * Goal: DeliveryService tells each org all of its own messages and nothing of anybody else's.
 * Method: the handlers on a real PostgreSQL, filled through the ingest sources as the loops fill it.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { deadSubject, nodeDeadSubject, receiptSubject } from '@fleetwire/contract';
import type { Envelope, Receipt } from '@fleetwire/gen/message';
import { DeadLetter, Envelope as EnvelopeCodec, Stage } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, newId, newMessageId, systemClock } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import { openStore } from '@fleetwire/store';
import type { TestPostgres } from '@fleetwire/testkit';
import { startTestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import type { HistoryMode } from '../src/domain/history-mode.ts';
import { deadLetterSource } from '../src/handlers/dead-letters.ts';
import { historySource } from '../src/handlers/history.ts';
import type { IngestSource } from '../src/handlers/ingest-loop.ts';
import { messageHandlers } from '../src/handlers/message-rpc.ts';
import type { Ended } from '../src/handlers/overflow-report.ts';
import { receiptSource } from '../src/handlers/receipts.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import { partitionStarts } from '../src/store/partitions.ts';
import { deleteOlderThan } from '../src/store/retention.ts';
import * as sample from './sample-traffic.ts';

const LIMITS = { recipientsMax: 100, recipientsListed: 5, pageBytes: 1_000_000, walkedMax: 50_000 };

describe('delivery answers', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  let answers: ReturnType<typeof messageHandlers>;
  let sequence = 0;
  const mode: HistoryMode = 'full';

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 3, asks: true };
    store = await openStore({ ...options, applicationName: 'answers' });
    answers = messageHandlers({
      store,
      clock: systemClock,
      limits: LIMITS,
      modes: () => mode,
      roster: { nodeNames: () => Promise.resolve({}) },
      progress: () => [],
      starts: partitionStarts(store, systemClock),
    });
  });

  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  function pulled(subject: string, data: Uint8Array, storedAtUs = 9_000_000): PulledMessage {
    const place = { sequence: ++sequence, deliverySequence: sequence, deliveries: 1, storedAtUs };
    return {
      subject,
      data,
      ...place,
      header: () => '',
      ack: () => undefined,
      working: () => undefined,
      nak: () => undefined,
    };
  }

  async function ingest<Row>(source: IngestSource<Row>, message: PulledMessage): Promise<number> {
    const { rows, rejected } = source.read(message);
    await source.save(source.combine([...rows]));
    return rejected.length;
  }

  const arrive = (...messages: Envelope[]) =>
    ingest(historySource(store), pulled(sample.INGRESS_SUBJECT, sample.ingressPack(messages)));

  const receipts = () => receiptSource({ store, homes: sample.homes() });

  const settle = (all: Receipt[], subject = sample.RECEIPT_SUBJECT) =>
    ingest(receipts(), pulled(subject, sample.receiptBatch(all)));

  const as = (org: string): RpcContext<Caller> =>
    ({ caller: { kind: 'user', subject: 'u_1', org, scopes: [] } }) as unknown as RpcContext<Caller>;

  const get = async (id: string, org = sample.ORG) => (await answers.getMessage({ id }, as(org))).message;

  const trace = (id: string, org = sample.ORG) => answers.traceMessage({ id }, as(org));

  const list = (more: object, org = sample.ORG) => {
    const all = { pageSize: 0, pageToken: '', correlationId: '', fromAgent: '', recipient: '' };
    const rest = { to: '', stage: Stage.UNSPECIFIED, fromMs: 0, untilMs: 0, text: '' };
    return answers.listMessages({ ...all, ...rest, ...more }, as(org));
  };

  const reason = (wanted: string) => (error: unknown) =>
    error instanceof FleetwireError && error.reason === wanted;

  it('shows a message with its body, its settlement and its trace', async () => {
    const message = sample.envelope({ body: new TextEncoder().encode('hello \0 there') });
    await arrive(message);
    const proof = {
      source: 'tmux',
      matched: 'seen',
      injectedAtUs: 7,
      detectedAtUs: 9,
      place: 'p',
      attempt: 0,
    };
    await settle([sample.receiptFor(message, Stage.DELIVERED)]);
    await settle([sample.receiptFor(message, Stage.CONFIRMED, { proof })]);
    const found = await get(message.id);
    assert.deepEqual(found?.settlements?.[0]?.proof, proof);
    assert.deepEqual((await trace(message.id)).hops?.at(-1)?.proof, proof);
    assert.deepEqual(Buffer.from(found?.body ?? []), Buffer.from(message.body));
    assert.equal(found?.fromName, 'alice');
    const [settlement] = found?.settlements ?? [];
    assert.equal(settlement?.stage, Stage.CONFIRMED);
    assert.equal(settlement?.final, true);
    assert.equal(settlement?.recipientName, 'bob');
    const { hops, traceId } = await trace(message.id);
    assert.equal(traceId, '4bf92f3577b34da6a3ce929d0e0e4736');
    const stages = [Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.DELIVERED, Stage.CONFIRMED];
    assert.deepEqual(
      hops?.map((t) => t.hop?.stage),
      stages,
    );
    assert.deepEqual(
      hops?.map((t) => t.sincePreviousUs),
      [0, 400, 500, 300, 1300],
    );
  });

  it('says of a message to many how many it has, and what became of it for each', async () => {
    const message = sample.envelope({ to: '#ops' });
    const count = { recipient: '', recipientName: '', final: false, fanOut: 2 };
    const router = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: 'router' });
    const ends = [sample.BOB, sample.CAROL].map((recipient) =>
      sample.receiptFor(message, Stage.CONFIRMED, { recipient, recipientName: recipient }),
    );
    await settle([sample.receiptFor(message, Stage.ROUTED, count)], router);
    for (const arrived of [false, true]) {
      if (arrived) await arrive(message);
      const early = await get(message.id);
      assert.deepEqual([early?.fanOut, early?.settlements?.length], [2, arrived ? 2 : 0]);
      await settle(ends);
      const found = await get(message.id);
      assert.ok(found?.settlements?.every(({ final }) => final));
      assert.deepEqual(
        [found?.fanOut, found?.settlements?.map(({ recipient }) => recipient)],
        [2, [sample.BOB, sample.CAROL].sort()],
      );
    }
    const routed = (await trace(message.id)).hops?.filter(({ hop }) => hop?.stage === Stage.ROUTED);
    assert.deepEqual(
      routed?.map(({ recipient }) => recipient),
      ['', ...[sample.BOB, sample.CAROL].sort()],
    );
  });

  it('answers from receipts alone while history has not arrived, and wholly afterwards', async () => {
    const message = sample.envelope();
    await settle([sample.receiptFor(message, Stage.HELD)]);
    const early = await get(message.id);
    assert.deepEqual(
      [early?.to, early?.fromAgent, early?.fromNode, early?.acceptedAtUs, early?.body?.length],
      ['bob', sample.ALICE, sample.NODE_A, message.acceptedAtUs, 0],
    );
    assert.equal((await trace(message.id)).hops?.length, 3);
    await arrive(message);
    assert.equal((await get(message.id))?.body?.length, 256);
  });

  it('looks the same for another org’s message, an unknown id and no id at all', async () => {
    const message = sample.envelope();
    await arrive(message);
    await settle([sample.receiptFor(message, Stage.CONFIRMED)]);
    const stranger = newId('org');
    const texts = new Set<string>();
    for (const id of [message.id, newMessageId(), 'x y', ''])
      for (const call of [get, trace])
        await assert.rejects(call(id, stranger), (error: FleetwireError) => {
          texts.add(`${error.kind} ${error.reason} ${error.message} ${error.help}`);
          return error.kind === 'not_found' && error.reason === 'MESSAGE_UNKNOWN';
        });
    assert.equal(texts.size, 1);
    assert.deepEqual((await list({}, stranger)).messages, []);
    assert.deepEqual((await list({ correlationId: message.correlationId }, stranger)).messages, []);
  });

  it('files a receipt under the org of its subject, whatever it is about', async () => {
    const message = sample.envelope();
    await arrive(message);
    const forged = receiptSubject.build({ org: newId('org'), toNode: sample.NODE_A, from: sample.NODE_B });
    await settle([sample.receiptFor(message, Stage.DEAD)], forged);
    assert.deepEqual((await get(message.id))?.settlements, []);
  });

  it('takes no history of another org from a pack', async () => {
    const foreign = sample.envelope({ org: newId('org') });
    const good = sample.envelope();
    assert.equal(await arrive(foreign, good), 1);
    await assert.rejects(get(foreign.id), reason('MESSAGE_UNKNOWN'));
    assert.equal((await get(good.id))?.id, good.id);
  });

  it('takes what can be read of a batch and sets the rest apart', async () => {
    const message = sample.envelope();
    const good = sample.receiptBatch([sample.receiptFor(message, Stage.RETURNED)]);
    const bad = new Uint8Array([0x0a, 0x03, 0x0a, 0x7f, 0x61]);
    const subject = sample.RECEIPT_SUBJECT;
    assert.equal(await ingest(receipts(), pulled(subject, Buffer.concat([bad, good]))), 1);
    assert.equal((await get(message.id))?.settlements?.[0]?.stage, Stage.RETURNED);
    assert.equal(await ingest(receipts(), pulled(subject, new Uint8Array([0x0a, 0x7f]))), 1);
    assert.equal(
      await ingest(historySource(store), pulled(sample.INGRESS_SUBJECT, new Uint8Array([0x0a, 0x7f]))),
      1,
    );
  });

  it('keeps dead letters, once each, and settles by those that say where the message died', async () => {
    const message = sample.envelope();
    const died = sample.hop(Stage.DEAD, 'router-1', message.acceptedAtUs + 70, { reason: 'UNKNOWN_AGENT' });
    const letter = DeadLetter.encode({
      envelope: EnvelopeCodec.encode(message).finish(),
      decoded: true,
      reason: 'UNKNOWN_AGENT',
      detail: 'nearest: bob',
      subject: sample.INGRESS_SUBJECT,
      streamSeq: 1,
      hops: [sample.hop(Stage.ACCEPTED, sample.NODE_A, message.acceptedAtUs), died],
    }).finish();
    const subject = deadSubject.build({ org: sample.ORG, agent: '_unknown' });
    const pulledLetter = pulled(subject, letter);
    await ingest(deadLetterSource(store, sample.homes()), pulledLetter);
    await ingest(deadLetterSource(store, sample.homes()), pulledLetter);
    const count = await store.query<{ n: number }>(
      'select count(*)::int as n from dead_letters where message_id = $1',
      [message.id],
    );
    assert.equal(count[0]?.n, 1);
    const [settlement] = (await get(message.id))?.settlements ?? [];
    assert.deepEqual(
      [settlement?.recipient, settlement?.stage, settlement?.reason],
      ['', Stage.DEAD, 'UNKNOWN_AGENT'],
    );
  });

  it('settles by a letter of a node what that node says of itself, and nothing of another', async () => {
    const messages = [sample.envelope(), sample.envelope()];
    const hops = (at: number) => [
      sample.hop(Stage.HELD, sample.NODE_B, at + 900),
      sample.hop(Stage.DEAD, sample.NODE_B, at + 2500, { reason: 'QUEUE_OVERFLOW' }),
    ];
    const letterOf = (message: Envelope) =>
      DeadLetter.encode(
        DeadLetter.fromPartial({
          envelope: EnvelopeCodec.encode(message).finish(),
          decoded: true,
          reason: 'QUEUE_OVERFLOW',
          hops: hops(message.acceptedAtUs),
        }),
      ).finish();
    for (const [i, node] of [sample.NODE_B, sample.NODE_A].entries()) {
      const subject = nodeDeadSubject.build({ org: sample.ORG, agent: sample.BOB, node });
      assert.equal(
        await ingest(deadLetterSource(store, sample.homes()), pulled(subject, letterOf(messages[i]!))),
        0,
      );
    }
    await arrive(...messages);
    const [own, forged] = await Promise.all(
      messages.map(async ({ id }) => (await get(id))?.settlements ?? []),
    );
    assert.deepEqual(
      own!.map(({ recipient, stage, reason }) => [recipient, stage, reason]),
      [[sample.BOB, Stage.DEAD, 'QUEUE_OVERFLOW']],
    );
    assert.deepEqual(forged, []);
    const kept = await store.query<{ agent: string }>(
      'select agent from dead_letters where message_id = any($1)',
      [messages.map(({ id }) => id)],
    );
    assert.deepEqual(
      kept.map(({ agent }) => agent),
      [sample.BOB, sample.BOB],
    );
  });

  it('hands on what full queues have ended, once it is stored', async () => {
    const message = sample.envelope();
    const told: Ended[] = [];
    const stored = (ended: readonly Ended[]) => void told.push(...ended);
    const source = receiptSource({ store, homes: sample.homes(), stored });
    const full = { reason: 'QUEUE_FULL' };
    const all = [
      sample.receiptFor(message, Stage.HELD),
      sample.receiptFor(message, Stage.RETURNED, full),
      sample.receiptFor(sample.envelope(), Stage.RETURNED, { reason: 'AGENT_REMOVED' }),
    ];
    await ingest(source, pulled(sample.RECEIPT_SUBJECT, sample.receiptBatch(all)));
    const about = { org: sample.ORG, recipient: sample.BOB, reason: 'QUEUE_FULL', publisher: sample.NODE_B };
    assert.deepEqual(told, [{ ...about, sequence }]);
  });

  it('pages through history by correlation, and refuses a token that is none', async () => {
    const correlationId = newMessageId();
    const messages = Array.from({ length: 7 }, () => sample.envelope({ correlationId }));
    await arrive(...messages);
    await settle(messages.map((m) => sample.receiptFor(m, Stage.CONFIRMED)));
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await list({ correlationId, pageSize: 3, pageToken });
      assert.ok(page.messages?.every((m) => m.settlements?.[0]?.stage === Stage.CONFIRMED));
      seen.push(...(page.messages ?? []).map((m) => m.id ?? ''));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    const ids = messages.map((m) => m.id);
    assert.deepEqual(seen, ids.sort().reverse());
    await assert.rejects(list({ pageToken: 'nonsense' }), reason('INVALID_PAGE_TOKEN'));
  });

  it('asks for an org', async () => {
    await assert.rejects(get(newMessageId(), ''), reason('ORG_REQUIRED'));
  });

  it('deletes history that is older than its time, within the bound', async () => {
    const message = sample.envelope();
    const young = sample.envelope();
    const pack = (m: Envelope, at: number) =>
      ingest(historySource(store), pulled(sample.INGRESS_SUBJECT, sample.ingressPack([m]), at));
    await pack(message, 1000);
    await pack(young, 3000);
    // A node's clock may be years behind: only the broker's counts.
    const odd = sample.receiptFor({ ...young, acceptedAtUs: 1 }, Stage.CONFIRMED);
    const batch = sample.receiptBatch([odd]);
    await ingest(receipts(), pulled(sample.RECEIPT_SUBJECT, batch, 3000));
    assert.equal(await deleteOlderThan(store, 2000, 10), 1);
    await assert.rejects(get(message.id), reason('MESSAGE_UNKNOWN'));
    assert.equal((await get(young.id))?.settlements?.length, 1);
  });
});
