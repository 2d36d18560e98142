/**
 * Goal: what is done again and again is done soon when asked, again after a failure, and once more at its end. Method: rounds
 * that are counted, with intervals that nobody waits for.
 */

import assert from 'node:assert/strict';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { Rounds } from '../src/rounds.ts';

const HOUR_MS = 3_600_000;

function setup(work: (round: number) => Promise<unknown>, retryMs = HOUR_MS) {
  const said: string[] = [];
  const seen = { rounds: 0, ended: 0 };
  const rounds = new Rounds({
    name: 'work',
    intervalMs: HOUR_MS,
    retry: { initialMs: retryMs, maxMs: retryMs },
    log: { warn: (_fields, message) => void said.push(message) },
    work: () => work(++seen.rounds),
    atEnd: async () => {
      seen.ended++;
      throw new Error('away');
    },
  });
  return { rounds, said, seen };
}

describe('rounds', () => {
  it('are made at once and when they are asked for, also during one, and end with what is left', async () => {
    const { rounds, said, seen } = setup(async (round) => round === 2 && rounds.kick());
    rounds.start();
    await eventually(() => seen.rounds === 1);
    rounds.kick();
    await eventually(() => seen.rounds === 3);
    await rounds.stop();
    assert.deepEqual([seen, said], [{ rounds: 3, ended: 1 }, ['work will try again']]);
  });

  it('are tried again when they are not done, and why is said once', async () => {
    const { rounds, said, seen } = setup(async (round) => {
      if (round > 2) return round === 5;
      throw new FleetwireError('unavailable', 'DATABASE_AWAY', 'refused');
    }, 1);
    rounds.start();
    await eventually(() => seen.rounds === 5);
    assert.deepEqual(said, ['work will try again']);
    await rounds.stop();
  });
});
