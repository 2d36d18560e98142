/**
 * Goal: what the router routes, the node can decode, and both read the same in it.
 * Method: envelopes with foreign, repeated and broken fields; the generated decoder is the judge.
 */

import assert from 'node:assert/strict';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { ingressSubject } from '@fleetwire/contract';
import { DeadLetter, Envelope, IngressPack, ReceiptBatch } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { admit } from '../src/domain/admission.ts';
import { readPack } from '../src/domain/header.ts';
import { envelope, flowOf, message, NODE, NOW_US, ORG, tableOf } from './samples.ts';

const subject = ingressSubject.parse(ingressSubject.build({ partition: 0, org: ORG, node: NODE }))!;
const arrival = { subject, ingressAtUs: NOW_US, nowUs: NOW_US };
const good = Envelope.encode(envelope()).finish();

const timeField = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
);
const time = timeField.map((at) => new BinaryWriter().tag(10, 0).int64(at).finish());
const strange = fc
  .tuple(fc.integer({ min: 0, max: 130 }), fc.uint8Array({ maxLength: 12 }))
  .map(([tag, rest]) => Uint8Array.from([...(tag < 128 ? [tag] : [tag, 1]), ...rest]));
const named = fc
  .tuple(fc.integer({ min: 1, max: 17 }), fc.uint8Array({ maxLength: 8 }))
  .map(([field, bytes]) => new BinaryWriter().tag(field, 2).bytes(bytes).finish());
const end = fc.constantFrom(Uint8Array.of(0), Uint8Array.of(0, 0), Uint8Array.of(12), Uint8Array.of(4));
const number = fc
  .tuple(
    fc.constantFrom(11, 16, 17),
    fc.oneof(fc.bigInt({ min: 0n, max: 5n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  )
  .map(([field, value]) => new BinaryWriter().tag(field, 0).uint64(value).finish());
const piece = fc.oneof(time, number, named, strange, end, fc.constant(good));
const hostile = fc
  .tuple(fc.array(piece, { maxLength: 4 }), fc.array(piece, { maxLength: 4 }), fc.nat(), fc.boolean())
  .map(([before, after, cut, whole]) => {
    const bytes = Buffer.concat([...before, good, ...after]);
    return whole ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
  });

const KEYS = [
  'id',
  'org',
  'fromAgent',
  'fromNode',
  'to',
  'acceptedAtUs',
  'ttlMs',
  'priority',
  'localServed',
] as const;

describe('mail that is routed', () => {
  it('can be decoded, and says the same to router and node', () => {
    let admitted = 0;
    fc.assert(
      fc.property(hostile, (bytes) => {
        const [packed] = readPack(IngressPack.encode({ envelopes: [bytes] }).finish())!;
        const header = packed!.header;
        if (header === undefined || admit(header, bytes.length, arrival).kind !== 'admit') return;
        admitted++;
        const decoded = Envelope.decode(packed!.bytes);
        for (const key of KEYS) assert.equal(header[key], decoded[key], key);
        assert.equal(header.bodyBytes, decoded.body.length);
      }),
      { numRuns: 5000 },
    );
    assert.ok(admitted > 100, `only ${admitted} were admitted`);
  });

  it('does not include what names an impossible time: dead letter and receipt, both readable', () => {
    const late = new BinaryWriter()
      .tag(10, 0)
      .int64(2n ** 60n)
      .finish();
    const bytes = Buffer.concat([good, late]);
    assert.throws(() => Envelope.decode(bytes));
    const flow = flowOf(tableOf('alice'));
    flow.accept(message(1, IngressPack.encode({ envelopes: [bytes] }).finish()), NOW_US);
    const dead: DeadLetter[] = [];
    const receipts: ReceiptBatch[] = [];
    for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
      const { kind } = p.pack.items[0]!;
      if (kind === 'dead') dead.push(DeadLetter.decode(p.stores[0]!.payload));
      else if (kind === 'receipt') receipts.push(ReceiptBatch.decode(p.stores[0]!.payload));
      else assert.fail('it was routed');
    }
    assert.deepEqual([dead[0]!.reason, dead[0]!.decoded], ['INVALID_ACCEPTED_AT', false]);
    assert.equal(receipts[0]!.receipts[0]!.reason, 'INVALID_ACCEPTED_AT');
  });
});
