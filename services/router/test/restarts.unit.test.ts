/**
 * Goal: a partition that restarts in vain is told of once, and only while it gets nowhere.
 * Method: times in the hands of the test.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Restarts } from '../src/domain/restarts.ts';

describe('restarts', () => {
  it('are told of once, at the sixth in vain within a minute', () => {
    const restarts = new Restarts();
    const told = Array.from({ length: 9 }, (_, i) => restarts.failed(i * 1000));
    assert.deepEqual(told.indexOf(true), 5);
    assert.equal(told.filter(Boolean).length, 1);
    assert.equal(restarts.stuck, true);
  });

  it('do not count when they are rare, or after progress', () => {
    const rare = new Restarts();
    for (let i = 0; i < 20; i++) assert.equal(rare.failed(i * 12_001), false);
    const lucky = new Restarts();
    for (let i = 0; i < 6; i++) lucky.failed(i);
    assert.equal(lucky.progressed(), true);
    assert.deepEqual([lucky.stuck, lucky.inVain, lucky.progressed()], [false, 0, false]);
    for (let i = 0; i < 5; i++) assert.equal(lucky.failed(i), false);
    assert.equal(lucky.failed(6), true);
  });
});
