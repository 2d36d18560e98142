// Goal: a service that gives up is started again until it is there; one that is told to stop stays stopped.
// Method: services made of promises, which the test fails and ends.

import { strict as assert } from 'node:assert';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { keepService } from '../src/fabric/keep-service.ts';

const FAST = { initialMs: 1, maxMs: 2 };

function bench() {
  const lives: { fail(error: Error): void; stops: number; stopFault?: Error }[] = [];
  const refusals: Error[] = [];
  const start = async (): Promise<RunningService> => {
    const refusal = refusals.shift();
    if (refusal !== undefined) throw refusal;
    const life = Promise.withResolvers<void>();
    life.promise.catch(() => undefined);
    const entry: (typeof lives)[number] = { fail: life.reject, stops: 0 };
    lives.push(entry);
    const stop = () => {
      entry.stops++;
      if (entry.stopFault === undefined) life.resolve();
      else life.reject(entry.stopFault);
      return life.promise;
    };
    return { name: 'router', address: 'h:1', health: () => ({}), stop, stopped: life.promise };
  };
  const lines: string[] = [];
  return { lives, refusals, lines, keep: () => keepService(start, (line) => lines.push(line), FAST) };
}

describe('keeping a service', () => {
  it('starts it again after a fault, as often as it takes', async () => {
    const { lives, refusals, lines, keep } = bench();
    const kept = await keep();
    refusals.push(new Error('not yet'), new Error('nor now'));
    lives[0]!.fail(new Error('broken'));
    await eventually(() => lives.length === 2);
    await eventually(() => lines.length === 4);
    assert.deepEqual(lines, [
      'router has ended (broken); starting it again',
      'router does not start: not yet',
      'router does not start: nor now',
      'router is back',
    ]);
    await kept.stop();
    assert.deepEqual([lives[0]!.stops, lives[1]!.stops], [0, 1]);
  });
  it('rejects when the first start fails', async () => {
    const { refusals, keep } = bench();
    refusals.push(new Error('no'));
    await assert.rejects(keep(), /no/);
  });
  it('stays stopped, also when it was just coming back', async () => {
    const { lives, refusals, keep } = bench();
    const kept = await keep();
    refusals.push(...Array.from({ length: 1000 }, () => new Error('away')));
    lives[0]!.fail(new Error('broken'));
    await eventually(() => refusals.length < 1000);
    await kept.stop();
    const left = refusals.length;
    assert.equal(lives.length, 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(refusals.length, left);
  });
  it('does not throw a fault of the end, but tells it', async () => {
    const { lives, lines, keep } = bench();
    const kept = await keep();
    lives[0]!.stopFault = new Error('late');
    await kept.stop();
    assert.deepEqual(lines, ['router did not end in good order: late']);
  });
});
