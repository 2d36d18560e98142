/** Goal: deletions that cannot go on keep no other from it. Method: rounds over a real database, with a provider that refuses. */

import assert from 'node:assert/strict';
import { FleetwireError } from '@fleetwire/kernel';
import { silentLog as log } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { advanceDeletions } from '../src/upkeep/deletion.ts';
import { startBillingWorld } from './billing/billing-world.ts';

describe('rounds of deletions', function () {
  this.timeout(60_000);

  it('reach every org, however many are stuck before it', async () => {
    await using world = await startBillingWorld();
    const { store, clock } = world;
    const orgs = await Promise.all(Array.from({ length: 45 }, () => world.org('team')));
    orgs.sort();
    await store.query(
      `update orgs set status = 'deleting', deletion = 1, deletion_step = 'cancel_subscription'`,
    );
    const going = new Set([orgs[22]!, orgs[44]!]);
    const cancelSubscription = async (org: string) => {
      if (!going.has(org)) throw new FleetwireError('failed_precondition', 'BILLING_REFUSED', 'no');
    };
    const parts = { store, clock, log, cancelSubscription, committed: () => undefined, waits: new Map() };
    assert.equal(await advanceDeletions(parts), 2);
    const rows = await store.query<{ id: string }>(
      `select id from orgs where deletion_step = 'clear_agents'`,
    );
    assert.deepEqual(new Set(rows.map(({ id }) => id)), going);
    assert.equal(await advanceDeletions(parts), 0);
  });
});
