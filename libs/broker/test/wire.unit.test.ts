/**
 * Goal: what is written and read by hand on the hot path is right: acknowledgement subjects, header blocks, times,
 * and the report of what differs. Method: fast-check builds the text from its parts and compares what is read back.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { readAckSubject } from '../src/ack-subject.ts';
import { differences, report } from '../src/drift.ts';
import { encodeHeaders, findHeader, statusOf } from '../src/headers.ts';
import { ERR_CODES, jetstreamError } from '../src/jetstream-errors.ts';
import { microsOf } from '../src/stored-messages.ts';

const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const count = fc.integer({ min: 0, max: 2 ** 40 });
const micros = fc.integer({ min: 1_600_000_000_000_000, max: 4_000_000_000_000_000 });
const numbers = fc.tuple(count, count, count, micros, count);

describe('acknowledgement subjects', () => {
  it('are read in the short form', () => {
    fc.assert(
      fc.property(token, token, numbers, (stream, consumer, [deliveries, sequence, order, us, pending]) => {
        const subject = `$JS.ACK.${stream}.${consumer}.${deliveries}.${sequence}.${order}.${us}789.${pending}`;
        const expected = { deliveries, sequence, deliverySequence: order, storedAtUs: us, pending };
        assert.deepEqual(readAckSubject(subject), expected);
      }),
    );
  });

  it('are read in the long form, with and without the token at the end', () => {
    fc.assert(
      fc.property(token, token, numbers, fc.boolean(), (stream, consumer, n, tail) => {
        const [deliveries, sequence, order, us, pending] = n;
        const head = `$JS.ACK._.hash.${stream}.${consumer}`;
        const subject = `${head}.${deliveries}.${sequence}.${order}.${us}789.${pending}${tail ? '.random' : ''}`;
        const expected = { deliveries, sequence, deliverySequence: order, storedAtUs: us, pending };
        assert.deepEqual(readAckSubject(subject), expected);
      }),
    );
  });

  it('are told from anything else', () => {
    for (const other of ['', 'fw.v1.inbox.0', '$JS.ACK.S.C.1.2.3', '$JS.ACK.S.C.1.x.3.1600000000000000000.0'])
      assert.equal(readAckSubject(other), undefined);
  });
});

describe('header blocks', () => {
  const value = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);

  it('give back what was put in', () => {
    fc.assert(
      fc.property(fc.dictionary(token, value, { minKeys: 1, maxKeys: 5 }), (headers) => {
        const block = encodeHeaders(headers);
        assert.ok(block.startsWith('NATS/1.0\r\n') && block.endsWith('\r\n\r\n'));
        for (const [name, text] of Object.entries(headers)) assert.equal(findHeader(block, name), text);
        assert.equal(statusOf(block), 0);
      }),
    );
  });

  it('cannot be broken out of', () => {
    assert.throws(() => encodeHeaders({ a: 'x\r\nb: y' }), { reason: 'INVALID_HEADER' });
  });

  it('carry the status of the server', () => {
    assert.equal(statusOf('NATS/1.0 503\r\n\r\n'), 503);
    assert.equal(statusOf('NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n'), 100);
    assert.equal(statusOf(''), 0);
  });
});

describe('what JetStream refuses', () => {
  it('is told apart: a bound of the stream, or a server that has no room', () => {
    const of = (err_code: number, code: number) => {
      const { kind, reason } = jetstreamError({ code, err_code }, 'publishing');
      return [kind, reason];
    };
    assert.deepEqual(of(ERR_CODES.storeFailed, 503), ['resource_exhausted', 'STREAM_FULL']);
    assert.deepEqual(of(ERR_CODES.insufficientResources, 503), ['unavailable', 'JETSTREAM_FULL']);
    assert.deepEqual(of(ERR_CODES.accountResourcesExceeded, 400), ['unavailable', 'JETSTREAM_FULL']);
    assert.deepEqual(of(ERR_CODES.storageResourcesExceeded, 500), ['unavailable', 'JETSTREAM_FULL']);
  });
});

describe('times of the server', () => {
  it('are read to the microsecond', () => {
    const second = Date.parse('2026-11-21T03:00:01Z') * 1000;
    assert.equal(microsOf('2026-11-21T03:00:01Z'), second);
    assert.equal(microsOf('2026-11-21T03:00:01.5Z'), second + 500_000);
    assert.equal(microsOf('2026-11-21T03:00:01.000042999Z'), second + 42);
  });
});

describe('the report of what differs', () => {
  it('names every field, and takes what is left out for nothing', () => {
    const wanted = { a: 1, b: false, c: ['x', 'y'], d: 0, e: 'new' };
    const list = differences(wanted, { a: 2, c: ['y', 'x'], e: 'old' });
    assert.equal(report('stream S', list), 'stream S: a should be 1, is 2; e should be "new", is "old"');
  });
});
