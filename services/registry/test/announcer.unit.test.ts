/** Goal: who tells of many at once loses none of it. Method: a broker that takes a while for each. */

import assert from 'node:assert/strict';
import { Event } from '@fleetwire/gen/event';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { Announcer } from '../src/handlers/announcer.ts';

describe('the announcer', () => {
  it('has room again for who waits for it, and tells all in order', async () => {
    const told: string[] = [];
    const announcer = new Announcer({
      publish: async (_subject, payload) => {
        told.push(Event.decode(payload).id);
        await new Promise((resolve) => setImmediate(resolve));
        return undefined as never;
      },
      clock: systemClock,
      log: { warn: () => undefined },
      max: 100,
    });
    const ids = Array.from({ length: 1000 }, (_, i) => `id-${i}`);
    for (const [i, id] of ids.entries()) {
      announcer.tell({ org: 'o_1', name: 'agent_registered', target: id, actor: 'registry', id });
      if (i % 50 === 49) await announcer.room();
    }
    await announcer.stop();
    assert.equal(announcer.dropped, 0);
    assert.deepEqual(told, ids);
  });
});
