// Goal: everybody gets turns in order, one asker's many never keep another's few waiting for all of them, and all is bounded.
// Method: work that ends when the test says so, and a record of who began.

import assert from 'node:assert/strict';
import { reasonOf } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { FairTurns } from '../src/fair-turns.ts';

describe('fair turns', () => {
  const setUp = (options: { turns?: number; waitingEach?: number; waitMs?: number } = {}) => {
    const fair = new FairTurns({ turns: 3, waitingEach: 10, waitMs: 60_000, ...options });
    const begun: string[] = [];
    const open = new Map<string, () => void>();
    const ask = (who: string, name = who) =>
      fair.run(who, () => {
        begun.push(name);
        return new Promise<void>((resolve) => open.set(name, resolve));
      });
    const end = async (name: string) => {
      open.get(name)!();
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { ask, begun, end };
  };

  it('leave the last one to others, and go round', async () => {
    const { ask, begun, end } = setUp();
    for (const name of ['a1', 'a2', 'a3', 'a4']) void ask('a', name);
    assert.deepEqual(begun, ['a1', 'a2']);
    for (const name of ['b1', 'b2', 'b3']) void ask('b', name);
    void ask('c', 'c1');
    assert.deepEqual(begun, ['a1', 'a2', 'b1']);
    for (const name of ['a1', 'a2', 'b1']) await end(name);
    assert.deepEqual(begun.slice(3).sort(), ['a3', 'b2', 'c1']);
    for (const name of ['a3', 'b2', 'c1']) await end(name);
    assert.deepEqual(begun.slice(6).sort(), ['a4', 'b3']);
    for (const name of ['a4', 'b3']) await end(name);
    void ask('a', 'again');
    assert.equal(begun.at(-1), 'again');
  });

  it('are given to one alone where there is only one', async () => {
    const { ask, begun, end } = setUp({ turns: 1 });
    for (const name of ['a1', 'a2']) void ask('a', name);
    assert.deepEqual(begun, ['a1']);
    await end('a1');
    assert.deepEqual(begun, ['a1', 'a2']);
  });

  it('are refused to who has too many waiting, and to who has waited too long, and to nobody else', async () => {
    const { ask, begun, end } = setUp({ turns: 2, waitingEach: 1, waitMs: 20 });
    void ask('a', 'a1');
    const late = reasonOf(ask('a', 'a2'));
    assert.equal(await reasonOf(ask('a', 'a3')), 'STORE_BUSY');
    assert.equal(await late, 'STORE_BUSY');
    void ask('b', 'b1');
    assert.deepEqual(begun, ['a1', 'b1']);
    void ask('a', 'a4').catch(() => undefined);
    await end('a1');
    assert.deepEqual(begun, ['a1', 'b1', 'a4']);
  });

  it('are given back by work that fails', async () => {
    const fair = new FairTurns({ turns: 1, waitingEach: 10, waitMs: 60_000 });
    const failed = fair.run('a', () => Promise.reject(new RangeError('mine')));
    const next = fair.run('b', async () => 'served');
    await assert.rejects(failed, RangeError);
    assert.equal(await next, 'served');
  });
});
