// Goal: whatever a node publishes, a router neither crashes nor stops: every envelope ends in an inbox or as a dead letter.
// Method: one real router on a real server is sent everything that is wrong in many ways; what the streams have then is
// counted against what was sent, and good mail behind it all still goes through.

import assert from 'node:assert/strict';
import { LIMITS, TTL_CAP_MS } from '@fleetwire/contract';
import { DeadLetter, Envelope, IngressPack, ReceiptBatch } from '@fleetwire/gen/message';
import type { RunningService } from '@fleetwire/runtime';
import { eventually, seededRandom } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Fabric } from './fabric.ts';
import { envelope, idOf, NODE, NOW_US } from './samples.ts';

const PARTITION = 0;

/** Every field is set, so that a cut can fall into each. */
const FULL: Partial<Envelope> = {
  fromAgent: 'a_sender0000000000',
  correlationId: idOf(9),
  replyTo: idOf(8),
  traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`,
  contentType: 'text/plain',
  priority: 3,
  body: new TextEncoder().encode('a body that can be cut'),
};

let fabric: Fabric;
let router: RunningService;
let next = 1;

const encoded = (over: Partial<Envelope> = {}): Uint8Array =>
  Envelope.encode(envelope({ id: idOf(next++), ...over })).finish();

/** In packs of up to 50, in order. */
async function send(envelopes: readonly Uint8Array[]): Promise<void> {
  for (let i = 0; i < envelopes.length; i += 50) {
    const pack = IngressPack.encode({ envelopes: envelopes.slice(i, i + 50) }).finish();
    await fabric.sendBytes(PARTITION, NODE, pack);
  }
}

async function dead(): Promise<DeadLetter[]> {
  return (await fabric.stream('DEAD')).map(({ data }) => DeadLetter.decode(data));
}

/** All of it is settled: as many inbox entries and dead letters as there were envelopes, and nothing was tried again. */
async function assertSettled(count: number): Promise<void> {
  const mark = idOf(next);
  await send([encoded({ to: 'bob' })]);
  await eventually(async () => (await fabric.inbox()).some(({ id }) => id === mark), { timeoutMs: 30_000 });
  // Interest retention: what the router has acknowledged is still there for history, so the router is asked.
  await eventually(() => (router.health()['partitions'] as { entries: number }[])[0]!.entries === 0);
  assert.equal((await fabric.inbox()).length - 1 + (await dead()).length, count);
  const [partition] = router.health()['partitions'] as { restarts: number; stuck: boolean }[];
  assert.deepEqual([partition!.restarts, partition!.stuck], [0, false]);
}

/** Bytes of a field that no version knows, of each wire type. */
const UNKNOWN_FIELDS = [
  [0x88, 0x3f, 0x01],
  [0x89, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8],
  [0x8a, 0x3f, 0x03, 0xff, 0xff, 0xff],
  [0x8d, 0x3f, 1, 2, 3, 4],
] as const;

describe('hostile ingress', function () {
  this.timeout(90_000);

  beforeEach(async () => {
    fabric = await Fabric.start({ partitions: 1 });
    for (const name of ['alice', 'bob']) await fabric.agent(name);
    router = await fabric.router('one');
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(fabric.log.slice(-25).join(''));
    await fabric[Symbol.asyncDispose]();
  });

  it('of envelopes that are cut at every byte', async () => {
    const whole = encoded(FULL);
    const cut = Array.from({ length: whole.length }, (_, length) => whole.slice(0, length));
    await send(cut);
    await assertSettled(cut.length);
    const reasons = new Set((await dead()).map(({ reason }) => reason));
    assert.ok(reasons.has('ENVELOPE_UNREADABLE') && reasons.has('FORGED_SENDER'), [...reasons].join());
  });

  it('of packs that are cut at every byte', async () => {
    const pack = IngressPack.encode({ envelopes: [encoded(FULL), encoded(FULL)] }).finish();
    for (let length = 1; length < pack.length; length++)
      await fabric.sendBytes(PARTITION, NODE, pack.slice(0, length));
    await send([encoded({ to: 'bob' })]);
    await eventually(async () => (await fabric.inbox()).some(({ id }) => id === idOf(next - 1)));
    // Cut between its two envelopes it is a whole pack of one.
    assert.equal((await fabric.inbox()).length, 2);
    assert.equal((await dead()).length, pack.length - 2);
  });

  it('of fields and values that a later version may have', async () => {
    const later = UNKNOWN_FIELDS.map((field) => new Uint8Array([...encoded(), ...field]));
    const priority = new Uint8Array([...encoded(), 0x80, 0x01, 0xff, 0x01]);
    await send([...later, priority]);
    await assertSettled(UNKNOWN_FIELDS.length + 1);
    assert.deepEqual(await dead(), []);
  });

  it('of bodies, times and senders that are not allowed', async () => {
    const wrong: readonly (readonly [string, Uint8Array])[] = [
      ['PAYLOAD_TOO_LARGE', encoded({ body: new Uint8Array(LIMITS.bodyBytes + 1) })],
      ['INVALID_TTL', encoded({ ttlMs: 0 })],
      ['INVALID_TTL', encoded({ ttlMs: TTL_CAP_MS + 1 })],
      // Minus one, as a careless encoder writes it: ten bytes of varint.
      ['INVALID_TTL', new Uint8Array([...encoded(), 0x58, ...Array<number>(9).fill(0xff), 0x01])],
      ['FORGED_SENDER', encoded({ org: 'o_fedcba9876543210' })],
      ['FORGED_SENDER', encoded({ fromNode: 'n_laptop' })],
      ['FORGED_SENDER', encoded({ fromNode: 'n_laptop', local: true })],
      ['INVALID_SENDER', encoded({ fromAgent: 'a'.repeat(60_000) })],
      ['INVALID_MESSAGE_ID', encoded({ id: `${idOf(1)}\u0000` })],
      ['INVALID_ACCEPTED_AT', new Uint8Array([...encoded(), 0x50, ...Array<number>(8).fill(0xff), 0x7f])],
    ];
    await send(wrong.map(([, bytes]) => bytes));
    await assertSettled(wrong.length);
    assert.deepEqual(
      (await dead()).map(({ reason }) => reason).sort(),
      wrong.map(([reason]) => reason).sort(),
    );
  });

  it('of addresses that nobody would think of', async () => {
    const random = seededRandom();
    const alphabet = Array.from('aliceBOB0123-_@:#%?*. \t\n\u0000\u202e\u{1f600}é/\\$\'"');
    const address = () =>
      Array.from({ length: random(40) }, () => alphabet[random(alphabet.length)]).join('');
    const addresses = Array.from({ length: 400 }, address).filter((to) => !/^(alice|bob)$/i.test(to));
    addresses.push('x'.repeat(300), '*'.repeat(256), '@'.repeat(10), '__proto__', 'constructor', 'toString');
    await send(addresses.map((to) => encoded({ to })));
    await assertSettled(addresses.length);
    const receipts = (await fabric.stream('RECEIPTS')).flatMap(
      ({ data }) => ReceiptBatch.decode(data).receipts,
    );
    const ends = receipts.filter(({ final }) => final);
    assert.equal(ends.length, (await dead()).length);
    for (const { reason, detail } of ends)
      assert.ok(/^[A-Z_]+$/.test(reason) && !/\p{C}/u.test(detail), detail);
  });

  it('of times that are not of this world, in the broker’s time', async () => {
    await send([encoded({ acceptedAtUs: 0 }), encoded({ acceptedAtUs: NOW_US * 4 }), encoded({ ttlMs: 1 })]);
    await eventually(async () => {
      const receipts = (await fabric.stream('RECEIPTS')).flatMap(
        ({ data }) => ReceiptBatch.decode(data).receipts,
      );
      return (await fabric.inbox()).length + receipts.length === 3;
    });
  });
});
