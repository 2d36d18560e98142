/** Goal: the kept writer gives the same bytes as a new one, whatever came before. Method: failures, nesting, large ones. */

import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type Encodable, encode } from '../encode.ts';
import { Envelope, IngressPack } from '../src/fleetwire/v1/message.ts';

const envelope = (id: string, bytes = 10) =>
  Envelope.fromPartial({ id, to: 'bob', body: new Uint8Array(bytes) });
const plain = (message: Envelope) => Envelope.encode(message).finish();

describe('encode', () => {
  it('gives bytes of its own each time', () => {
    const [first, second] = [encode(Envelope, envelope('first')), encode(Envelope, envelope('second'))];
    assert.deepEqual([first, second], [plain(envelope('first')), plain(envelope('second'))]);
    assert.notEqual(first.buffer, second.buffer);
  });

  it('starts anew after a failure half way', () => {
    const half = { ...envelope('half'), ttlMs: -1 };
    assert.throws(() => encode(Envelope, half));
    assert.deepEqual(encode(Envelope, envelope('next')), plain(envelope('next')));
  });

  it('encodes within an encoding', () => {
    const nested: Encodable<Envelope> = {
      encode: (message, writer) =>
        IngressPack.encode({ envelopes: [encode(Envelope, message)] }, writer)
          .uint32(16)
          .uint32(1),
    };
    const expected = IngressPack.encode({ envelopes: [plain(envelope('inner'))] })
      .uint32(16)
      .uint32(1)
      .finish();
    assert.deepEqual(encode(nested, envelope('inner')), expected);
  });

  it('goes on after a message that is larger than what is kept', () => {
    for (const bytes of [3_000_000, 10]) {
      assert.deepEqual(encode(Envelope, envelope('x', bytes)), plain(envelope('x', bytes)));
    }
  });
});
