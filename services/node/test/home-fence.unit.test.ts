// Goal: an agent that has come home is written to in order, and what is remembered of its senders does not grow for ever.
// Method: senders that write through the hub and whose mail comes, more of them than are remembered.

import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { HomeFence } from '../src/domain/home-fence.ts';

describe('the fence before an agent that has come here', () => {
  it('lets each sender in once the last that it sent through the hub has come', () => {
    const fence = new HomeFence();
    assert.equal(fence.lets('alice'), true);
    fence.raise();
    fence.sent('alice', '1');
    fence.sent('alice', '2');
    fence.came('alice', '1');
    assert.equal(fence.lets('alice'), false);
    fence.came('alice', '2');
    assert.deepEqual([fence.lets('alice'), fence.lets('bob')], [true, false]);
  });

  it('counts each level of priority for itself, for one overtakes the other on the way through the hub', () => {
    const fence = new HomeFence();
    fence.raise();
    fence.sent('alice', 'low', 0);
    fence.sent('alice', 'high', 2);
    fence.came('alice', 'high');
    assert.deepEqual(
      [fence.lets('alice', 2), fence.lets('alice', 0), fence.lets('alice')],
      [true, false, false],
    );
    fence.came('alice', 'low');
    assert.equal(fence.lets('alice', 0), true);
  });

  it('is shut again for who has sent more through the hub, or has written while the agent was away', () => {
    const fence = new HomeFence();
    fence.raise();
    fence.sent('alice', '1');
    fence.came('alice', '1');
    fence.sent('alice', '2');
    assert.equal(fence.lets('alice'), false);
    fence.raise();
    fence.came('alice', '2');
    assert.equal(fence.lets('alice'), false, 'what was sent while it lived elsewhere may be under way');
  });

  it('forgets those who wrote longest ago, who take the way through the hub again', () => {
    const fence = new HomeFence(2);
    fence.raise();
    for (const sender of ['alice', 'bob', 'carol']) fence.sent(sender, '1');
    for (const sender of ['alice', 'bob', 'carol']) fence.came(sender, '1');
    assert.deepEqual(
      ['alice', 'bob', 'carol'].map((sender) => fence.lets(sender)),
      [false, true, true],
    );
    fence.sent('alice', '2');
    fence.came('alice', '2');
    assert.deepEqual(
      ['alice', 'bob', 'carol'].map((sender) => fence.lets(sender)),
      [true, false, true],
    );
  });
});
