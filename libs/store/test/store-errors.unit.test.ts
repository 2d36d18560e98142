/** Goal: every way in which PostgreSQL can be away is known, and nothing else. Method: errors as the driver makes them. */

import assert from 'node:assert/strict';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { asStoreError, isConflict, isStoreAway } from '../src/index.ts';

const coded = (code: string, extra: object = {}) => Object.assign(new Error(code), { code, ...extra });

describe('errors of the store', () => {
  const away: [string, unknown][] = [
    ['a refused connection', coded('ECONNREFUSED')],
    ['a host with two addresses', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')])],
    ['a missing socket file', coded('ENOENT', { syscall: 'connect' })],
    ['an orderly shutdown', coded('57P01')],
    ['a server that starts up', coded('57P03')],
    ['a lost connection', new Error('Connection terminated unexpectedly')],
    ['no connection free in time', new Error('timeout exceeded when trying to connect')],
    ['a connection exception', coded('08006')],
    ['one wrapped by the mapper', new Error('outer', { cause: coded('ECONNRESET') })],
    ['our own', new FleetwireError('unavailable', 'DATABASE_AWAY', 'away')],
  ];
  for (const [name, error] of away) {
    it(`takes ${name} as away`, () => {
      assert.equal(isStoreAway(error), true);
      const seen = asStoreError(error);
      assert.ok(seen instanceof FleetwireError);
      assert.deepEqual([seen.kind, seen.reason], ['unavailable', 'DATABASE_AWAY']);
    });
  }

  for (const error of [coded('23505'), coded('ENOENT'), new Error('no'), 'text', undefined]) {
    it(`passes ${String(error)} on as it is`, () => {
      assert.equal(isStoreAway(error), false);
      assert.equal(asStoreError(error), error);
    });
  }

  it('names conflicts, time-outs, refusals and texts that cannot be kept', () => {
    const reasons = ['40001', '57014', '28P01', '22021'].map(
      (code) => (asStoreError(coded(code)) as FleetwireError).reason,
    );
    const expected = ['DATABASE_CONFLICT', 'DATABASE_TIMEOUT', 'DATABASE_REFUSED', 'INVALID_TEXT'];
    assert.deepEqual(reasons, expected);
  });

  it('knows which unique constraint was in the way', () => {
    const error = new Error('outer', { cause: coded('23505', { constraint: 'agents_name' }) });
    assert.deepEqual(
      [isConflict(error), isConflict(error, 'agents_name'), isConflict(error, 'other')],
      [true, true, false],
    );
  });
});
