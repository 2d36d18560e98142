/**
 * Goal: an org that wants it is told of every message as events, sent, to many and received, with texts or without, and an
 * org that does not is not; nothing is acknowledged before it is told; and however many are told, audit and usage stay.
 * Method: a real nats-server and PostgreSQL, the service as it runs, what orgs want in their bucket; then publishing that fails.
 */

import assert from 'node:assert/strict';
import { type Broker, connectBroker, type PulledMessage } from '@fleetwire/broker';
import {
  DEFAULT_SIZING,
  eventSubject,
  filters,
  ingressSubject,
  messageEvent,
  messageEventSubject,
  ORGS_BUCKET,
  receiptSubject,
} from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { type Envelope, Stage } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { bootstrapFabric } from '@fleetwire/runtime';
import { eventually, SMALL_STREAMS, startTestNats, startTestPostgres, tempFolder } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type OrgWishes, readHistory } from '../src/handlers/history.ts';
import { eventMode, sentEvent, tellMessages } from '../src/handlers/message-events.ts';
import { start } from '../src/service.ts';
import * as sample from './sample-traffic.ts';

/** Of one org and name. */
const KEPT = 20;

describe('messages told as events', function () {
  this.timeout(60_000);
  const stack = new AsyncDisposableStack();
  const heard: Event[] = [];
  let broker: Broker;
  let published = 0;

  before(async () => {
    const nats = stack.use(await startTestNats());
    const postgres = stack.use(await startTestPostgres());
    broker = await connectBroker({ urls: [nats.url], name: 'test', waitMs: 5000 });
    stack.defer(() => broker.close());
    await bootstrapFabric({
      natsUrls: [nats.url],
      singleTenant: true,
      partitions: 1,
      sizing: { ...SMALL_STREAMS, messages_max_msgs_per_subject: KEPT },
    });
    await broker.consumers.remove('INGRESS', 'router-p0-e0');
    const keys = stack.use(tempFolder('keys')).path;
    await ensureKeys(keys, { services: ['org', 'registry', 'router', 'delivery'] });
    broker.subscribe(filters.allMessageEvents, (m) => void heard.push(Event.decode(m.data)));
    const service = await start({
      env: {},
      overrides: {
        common: { instance: 'one', log_level: 'silent' },
        nats: { url: nats.url, single_tenant: true },
        database: { url: postgres.url, pool_max: 4 },
        keys: { dir: keys },
        delivery: { flush_ms: 20 },
      },
    });
    stack.defer(() => service.stop());
  });

  after(() => stack.disposeAsync());

  async function orgThatWants(messageEvents: string): Promise<string> {
    const org = newId('org');
    const state = OrgState.fromPartial({ org, version: 1, status: 'active', messageEvents });
    await (await broker.bucket(ORGS_BUCKET)).put(org, encode(OrgState, state));
    await sample.putRoutes(broker, org);
    return org;
  }

  const put = (subject: string, payload: Uint8Array) =>
    broker.store(subject, payload, { msgId: `test-${published++}` });

  const send = (org: string, messages: Envelope[]) =>
    put(ingressSubject.build({ partition: 0, org, node: sample.NODE_A }), sample.ingressPack(messages));

  const confirm = (org: string, messages: Envelope[]) => {
    const receipts = messages.map((message) => sample.receiptFor(message, Stage.CONFIRMED));
    const subject = receiptSubject.build({ org, toNode: sample.NODE_A, from: sample.NODE_B });
    return put(subject, sample.receiptBatch(receipts));
  };

  const messageOf = (org: string, text: string, more: Partial<Envelope> = {}) =>
    sample.envelope({ org, body: new TextEncoder().encode(text), ...more });

  /** Events about `message`, each once: they may be told again. */
  const about = ({ id }: Envelope) => [
    ...new Map(heard.filter((e) => e.target === id).map((e) => [e.id, e])).values(),
  ];

  /** What was chosen reaches the service in its own time. */
  async function untilTold(org: string): Promise<void> {
    await eventually(async () => {
      const probe = messageOf(org, 'told?');
      await send(org, [probe]);
      return eventually(() => about(probe).length > 0, { timeoutMs: 1000 }).then(
        () => true,
        () => false,
      );
    });
  }

  it('tells what was sent to one and to many, with its text, and what was received', async () => {
    const org = await orgThatWants('full');
    await untilTold(org);
    const [one, many] = [messageOf(org, 'hello bob'), messageOf(org, 'hello all', { to: '#ops' })];
    await send(org, [one, many]);
    await confirm(org, [one]);
    await eventually(() => about(one).length === 2 && about(many).length === 1);
    const sent = about(one).find(({ name }) => name === 'message_sent')!;
    const { atMs, actor, details } = sent;
    assert.deepEqual([atMs, actor], [Math.floor(one.acceptedAtUs / 1000), sample.ALICE]);
    assert.deepEqual(details, {
      message_id: one.id,
      correlation_id: one.id,
      from: sample.ALICE,
      from_name: 'alice',
      to: 'bob',
      content: 'hello bob',
    });
    const received = about(one).find(({ name }) => name === 'message_received')!;
    assert.deepEqual([received.details['recipient'], received.details['to']], [sample.BOB, 'bob']);
    const [broadcast] = about(many);
    assert.deepEqual([broadcast?.name, broadcast?.details['to']], ['broadcast', '#ops']);
  });

  it('leaves texts out where the org wants so, and what is none, and cuts what is long', async () => {
    const [org, full] = [await orgThatWants('metadata'), await orgThatWants('full')];
    await untilTold(org);
    await untilTold(full);
    const quiet = messageOf(org, 'secret');
    const bytes = messageOf(full, '', { body: new Uint8Array([0xff, 0xfe]) });
    const long = messageOf(full, `${'x'.repeat(16 * 1024 - 1)}\u00e9 and more`);
    await send(org, [quiet]);
    await send(full, [bytes, long]);
    await eventually(() => [quiet, bytes, long].every((m) => about(m).length === 1));
    assert.deepEqual(
      [quiet, bytes, long].map((m) => about(m)[0]!.details['content']?.length),
      [undefined, undefined, 16 * 1024 - 1],
    );
  });

  it('tells nothing of an org that did not ask', async () => {
    const [silent, full] = [await orgThatWants('off'), await orgThatWants('full')];
    await untilTold(full);
    const [unheard, last] = [messageOf(silent, 'psst'), messageOf(full, 'last')];
    await send(silent, [unheard]);
    await send(full, [last]);
    await confirm(silent, [unheard]);
    await confirm(full, [last]);
    await eventually(() => about(last).length === 2);
    assert.deepEqual(about(unheard), []);
    assert.deepEqual(['', 'off', 'metadata', 'full', 'newer'].map(eventMode), [
      'off',
      'off',
      'metadata',
      'full',
      'metadata',
    ]);
  });

  it('has them in a stream of their own, where a busy org pushes out its own alone', async () => {
    const audited = eventSubject.build({ org: newId('org'), service: 'org', name: 'acted' });
    await broker.store(audited, Buffer.from('for the audit'), { msgId: 'audited' });
    const [busy, modest] = [await orgThatWants('full'), await orgThatWants('full')];
    await untilTold(busy);
    await untilTold(modest);
    const before = (await broker.streams.state('EVENTS'))!;
    const last = messageOf(modest, 'of the modest one');
    await send(modest, [last]);
    await eventually(() => about(last).length === 1);
    const many = Array.from({ length: 2 * KEPT }, (_, i) => messageOf(busy, `flood ${i}`));
    await send(busy, many);
    await eventually(() => many.every((message) => about(message).length === 1));
    const { subjects } = (await broker.streams.countBySubject('MESSAGES', filters.allMessageEvents, 1000))!;
    const sent = (org: string) => subjects.get(messageEventSubject.build({ org, name: 'message_sent' }))!;
    assert.equal(sent(busy), KEPT);
    assert.ok(sent(modest) >= 2, 'those of another org are pushed out');
    const { firstSequence, messages } = (await broker.streams.state('EVENTS'))!;
    assert.deepEqual([firstSequence, messages], [before.firstSequence, before.messages]);
  });

  it('cannot be filled by one org alone, as it is made by default', () => {
    const address = '#'.repeat(64 * 1024);
    const text = messageOf(newId('org'), 'x'.repeat(64 * 1024), { to: address, fromName: 'x'.repeat(64) });
    const { payload, subject } = messageEvent(sentEvent(text, 'full')!);
    // With what the server stores beside it.
    const largest = payload.length + subject.length + 512;
    const { messages_max_bytes, messages_max_msgs_per_subject } = DEFAULT_SIZING;
    // Two names carry texts; the third is smaller.
    assert.ok(3 * messages_max_msgs_per_subject * largest < messages_max_bytes, `${largest} bytes each`);
  });

  it('rejects when one cannot be told, so that all are told again', async () => {
    const message = messageOf(newId('org'), 'hello');
    const subject = ingressSubject.build({ partition: 0, org: message.org, node: sample.NODE_A });
    const pulled = { subject, data: sample.ingressPack([message]), sequence: 1, storedAtUs: 1 };
    const wishes: OrgWishes = { keep: () => 'full', tell: () => 'full' };
    const { rows } = readHistory(pulled as PulledMessage, wishes);
    const away = () => Promise.reject(new Error('away'));
    await assert.rejects(tellMessages(away, [rows[0]!.told!]), /away/);
  });
});
