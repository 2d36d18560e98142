/**
 * Goal: what full queues have ended is told once for each agent and reason, with its number, and under an id that repeats.
 * Method: the report with a publisher that notes what it is given.
 */

import assert from 'node:assert/strict';
import { Event } from '@fleetwire/gen/event';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { type Ended, OverflowReport } from '../src/handlers/overflow-report.ts';

const HOUR_MS = 3_600_000;

function bench(fails = false) {
  const told: { subject: string; msgId: string; event: Event }[] = [];
  const warned: unknown[] = [];
  const report = new OverflowReport({
    publish: async (subject, payload, { msgId }) => {
      if (fails) throw new Error('away');
      told.push({ subject, msgId, event: Event.decode(payload) });
      return { sequence: told.length, duplicate: false };
    },
    clock: systemClock,
    log: { warn: (...args: unknown[]) => void warned.push(args) } as never,
    intervalMs: HOUR_MS,
  });
  return { report, told, warned };
}

const ended = (recipient: string, reason: string, sequence: number): Ended => ({
  org: 'o_one',
  recipient,
  reason,
  publisher: 'n_desktop',
  sequence,
});

describe('overflow report', () => {
  it('counts by agent and reason, and tells the rest when it stops', async () => {
    const { report, told } = bench();
    report.start();
    report.stored([
      ended('a_bob', 'QUEUE_FULL', 8),
      ended('a_bob', 'QUEUE_FULL', 7),
      ended('a_bob', 'QUEUE_OVERFLOW', 9),
    ]);
    report.stored([ended('a_carol', 'QUEUE_FULL', 7), ended('a_bob', 'QUEUE_FULL', 8)]);
    await report.stop();
    assert.deepEqual(
      told.map(({ event }) => [
        event.target,
        event.details['reason'],
        event.details['count'],
        event.details['node'],
      ]),
      [
        ['a_bob', 'QUEUE_FULL', '3', 'n_desktop'],
        ['a_bob', 'QUEUE_OVERFLOW', '1', 'n_desktop'],
        ['a_carol', 'QUEUE_FULL', '1', 'n_desktop'],
      ],
    );
    const [first] = told;
    assert.equal(first!.subject, 'fw.v1.event.o_one.delivery.overflow');
    assert.equal(first!.msgId, 'delivery-overflow-a_bob-QUEUE_FULL-7');
    assert.equal(first!.event.id, first!.msgId);
  });

  it('says in the log what it could not tell, and goes on', async () => {
    const { report, warned } = bench(true);
    report.start();
    report.stored([ended('a_bob', 'QUEUE_FULL', 1)]);
    await report.stop();
    assert.equal(warned.length, 1);
  });
});
