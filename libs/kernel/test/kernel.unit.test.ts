// Goal: ids sort and round-trip, names and addresses are exact, suggestions are near.
// Method: laws by property tests, edges by examples.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  asFleetwireError,
  backoffMs,
  causeChain,
  FleetwireError,
  isId,
  isMessageId,
  isName,
  messageMarker,
  nearestNames,
  newId,
  newMessageId,
  parseAddress,
  pause,
  printable,
  repeatEvery,
} from '../src/index.ts';

const reasonOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    if (error instanceof FleetwireError) return error.reason;
    throw error;
  }
  return 'none';
};

describe('ids', () => {
  it('message ids are unique, 26 characters, and sort by time', () => {
    const at = (ms: number) => newMessageId({ nowUs: () => ms * 1000, monotonicMs: () => 0 });
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.integer({ min: 1, max: 2 ** 30 }), (ms, later) => {
        const [a, b] = [at(ms), at(ms + later)];
        assert.ok(isMessageId(a) && isMessageId(b) && a < b);
      }),
    );
    assert.equal(new Set(Array.from({ length: 1000 }, () => newMessageId())).size, 1000);
  });
  it('the marker is in the random part', () => {
    const id = newMessageId();
    assert.equal(messageMarker(id).length, 8);
    assert.ok(id.slice(10).endsWith(messageMarker(id)));
  });
  it('ids tell their type', () => {
    assert.ok(isId('agent', newId('agent')));
    assert.ok(!isId('node', newId('agent')));
    assert.ok(!isId('agent', `${newId('agent')}x`));
  });
});

describe('names and addresses', () => {
  it('take letters, digits and hyphens, 1 to 50', () => {
    for (const good of ['a', 'Alice-2', 'x'.repeat(50)]) assert.ok(isName(good));
    for (const bad of ['', 'x'.repeat(51), 'a b', 'a.b', 'a_b', 'é', 'a\n', '*', '>'])
      assert.ok(!isName(bad), bad);
  });
  it('addresses name an agent, and perhaps its node', () => {
    const agent = { kind: 'agent', name: 'alice', node: undefined, project: undefined };
    assert.deepEqual(parseAddress('alice'), agent);
    assert.deepEqual(parseAddress('alice@laptop'), { ...agent, node: 'laptop' });
    assert.deepEqual(parseAddress('App:alice'), { ...agent, project: 'app' });
    assert.deepEqual(parseAddress('app:alice@laptop'), { ...agent, node: 'laptop', project: 'app' });
    for (const bad of [
      '',
      '@',
      'alice@',
      '@laptop',
      'a@b@c',
      'a:b:c',
      ':a',
      'a:',
      '*:a',
      'a b',
      'alice\u0000',
      'alice\n',
    ])
      assert.equal(
        reasonOf(() => parseAddress(bad)),
        'INVALID_ADDRESS',
      );
  });
  it('addresses may mean many agents', () => {
    const everybody = { kind: 'everybody', node: undefined, project: undefined };
    assert.deepEqual(parseAddress('*'), everybody);
    assert.deepEqual(parseAddress('*:*'), everybody);
    assert.deepEqual(parseAddress('*@laptop'), { ...everybody, node: 'laptop' });
    assert.deepEqual(parseAddress('App:*'), { ...everybody, project: 'app' });
    assert.deepEqual(parseAddress('#Ops'), { kind: 'channel', name: 'Ops' });
    assert.deepEqual(parseAddress('%team'), { kind: 'group', name: 'team' });
    for (const bad of ['#', '%', '##a', '#a@b', '%a:b', '**', '*@', '@*', 'a@*', '#*', ' *', '*\n', '#a\n'])
      assert.equal(
        reasonOf(() => parseAddress(bad)),
        'INVALID_ADDRESS',
        bad,
      );
  });
  it('addresses may ask for a capability instead, in any case', () => {
    for (const good of ['?review', '?Review', '?REVIEW'])
      assert.deepEqual(parseAddress(good), { kind: 'capability', capability: 'review' });
    assert.deepEqual(parseAddress(`?9${'.'.repeat(63)}`), {
      kind: 'capability',
      capability: `9${'.'.repeat(63)}`,
    });
    for (const bad of [
      '?',
      '??',
      '?-a',
      '?.a',
      '?_a',
      '?a b',
      '?a@b',
      '?a*',
      '?é',
      '?\u212a',
      `?${'a'.repeat(65)}`,
    ])
      assert.equal(
        reasonOf(() => parseAddress(bad)),
        'INVALID_ADDRESS',
        bad,
      );
  });
  it('any text is an address or refused with INVALID_ADDRESS', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const reason = reasonOf(() => parseAddress(text));
        assert.ok(reason === 'none' || reason === 'INVALID_ADDRESS');
      }),
    );
  });
  it('suggests what is a slip away, nearest first', () => {
    const names = ['alice', 'alicia', 'bob', 'malice', 'carol'];
    assert.deepEqual(nearestNames('alcie', names), ['alice']);
    assert.deepEqual(nearestNames('Alise', names), ['alice']);
    assert.deepEqual(nearestNames('zed', names), []);
    assert.deepEqual(nearestNames('bbo', names), ['bob']);
  });
  it('shows control characters harmlessly', () => {
    assert.equal(printable('a\u001b[31mb'), 'a\\u{1b}[31mb');
  });
});

describe('errors', () => {
  it('keep their reason through wrapping and tell the whole chain', () => {
    const inner = new FleetwireError('unavailable', 'X_AWAY', 'x is away');
    assert.equal(asFleetwireError(inner), inner);
    const outer = new FleetwireError('internal', 'Y', 'y failed', { cause: inner });
    assert.equal(causeChain(outer), 'Y: y failed <- X_AWAY: x is away');
    assert.equal(asFleetwireError('text').reason, 'INTERNAL');
  });
});

describe('waiting', () => {
  it('backs off within its bounds', () => {
    fc.assert(
      fc.property(fc.nat(100), (attempt) => {
        const ms = backoffMs({ initialMs: 1000, maxMs: 30_000 }, attempt);
        assert.ok(ms >= 500 && ms <= 30_000);
      }),
    );
  });
  it('what is repeated is done one at a time, until aborted, and tells when it fails', async () => {
    const abort = new AbortController();
    let [done, under] = [0, 0];
    const repeated = repeatEvery(1, abort.signal, async () => {
      assert.equal(++under, 1);
      await pause(2);
      under--;
      if (++done === 3) abort.abort();
    });
    await repeated;
    assert.equal(done, 3);
    const fails = repeatEvery(1, new AbortController().signal, () => Promise.reject(new Error('no')));
    await assert.rejects(fails, /no/);
  });

  it('a pause ends at once when aborted', async () => {
    const abort = new AbortController();
    const paused = pause(60_000, abort.signal);
    abort.abort();
    await paused;
  });
});
