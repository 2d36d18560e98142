/**
 * Goal: whoever floods, with whatever priority, a quiet sender's and a quiet org's message leaves within a bounded number of
 * packs; higher levels go first and starve nobody.
 * Method: floods that fast-check makes up while one message waits; the bounds are those that the code states.
 */

import assert from 'node:assert/strict';
import { PRIORITY_TURNS, type PriorityLevel } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Lanes } from '../src/domain/lanes.ts';

const limits = { messages: 4, bytes: 100 };
const anyLevel = fc.constantFrom<PriorityLevel>(0, 1, 2, 3);

interface Thing {
  readonly size: number;
  readonly level: PriorityLevel;
  readonly sender: string;
}

const thing = (sender: string, level: PriorityLevel = 1, size = 1): Thing => ({ sender, level, size });

describe('in a lane', () => {
  const flood = fc.record({
    sender: fc.constantFrom('f1', 'f2', 'f3', 'f4'),
    level: anyLevel,
    size: fc.constantFrom(1, 40, 100, 150),
  });

  it("a quiet sender's message leaves within a bounded number of packs", () => {
    fc.assert(
      fc.property(anyLevel, fc.array(flood, { minLength: 20, maxLength: 60 }), (level, things) => {
        const lanes = new Lanes<Thing>(limits);
        const pour = () => {
          for (const each of things) lanes.push('lane', 'o', each);
        };
        pour();
        lanes.push('lane', 'o', thing('quiet', level));
        // Five senders on its level, a pack of one item each at worst.
        const bound = 5 * PRIORITY_TURNS;
        for (let packs = 1; ; packs++) {
          assert.ok(packs <= bound, `not in ${bound} packs`);
          pour();
          const { items } = lanes.next()!;
          lanes.done('lane');
          if (items.some((item) => item.sender === 'quiet')) return;
        }
      }),
    );
  });

  it('senders share a pack by turns, and each keeps its order', () => {
    const lanes = new Lanes<Thing & { n: number }>({ messages: 6, bytes: 1000 });
    for (let n = 0; n < 20; n++) lanes.push('lane', 'o', { ...thing('loud'), n });
    for (let n = 0; n < 2; n++) lanes.push('lane', 'o', { ...thing('quiet'), n });
    const said = lanes.next()!.items.map(({ sender, n }) => `${sender}${n}`);
    assert.deepEqual(said, ['loud0', 'quiet0', 'loud1', 'quiet1', 'loud2', 'loud3']);
  });

  it('what is urgent passes what is not, and does not stop it', () => {
    const lanes = new Lanes<Thing>({ messages: 10, bytes: 1000 });
    for (let n = 0; n < 50; n++) lanes.push('lane', 'o', thing('batch', 0));
    for (let n = 0; n < 50; n++) lanes.push('lane', 'o', thing('pager', 2));
    const { items } = lanes.next()!;
    assert.equal(items[0]!.level, 2);
    assert.deepEqual(
      [items.filter((i) => i.level === 2).length, items.filter((i) => i.level === 0).length],
      [8, 2],
    );
  });

  it('what fits into one pack leaves as it came', () => {
    const lanes = new Lanes<Thing>(limits);
    const all = [thing('a', 0), thing('b', 3), thing('a', 1), thing('b', 2)];
    for (const each of all) lanes.push('lane', 'o', each);
    assert.deepEqual(lanes.next()!.items, all);
  });
});

describe('among lanes', () => {
  it('one org with a thousand of them delays the only lane of another by one pack', () => {
    const lanes = new Lanes<Thing>(limits);
    for (let i = 0; i < 1000; i++) lanes.push(`loud${i}`, 'loud', thing('s', 3));
    for (let i = 0; i < 10; i++) lanes.next();
    lanes.push('quiet', 'quiet', thing('s', 0));
    const next = [lanes.next()!.lane, lanes.next()!.lane];
    assert.ok(next.includes('quiet'), next.join());
  });

  it('a lane leaves within a bounded number of packs, whatever becomes ready', () => {
    const busy = fc.array(fc.record({ org: fc.nat(3), lane: fc.nat(30), level: anyLevel }), {
      minLength: 50,
      maxLength: 100,
    });
    fc.assert(
      fc.property(anyLevel, busy, (level, things) => {
        const lanes = new Lanes<Thing>(limits);
        const pour = () => {
          for (const each of things)
            lanes.push(`${each.org}.${each.lane}`, `org${each.org}`, thing('s', each.level));
        };
        pour();
        lanes.push('0.quiet', 'org0', thing('s', level));
        // Four orgs; in its org at most 31 lanes before it on its level.
        const bound = 4 * 32 * PRIORITY_TURNS;
        for (let packs = 1; ; packs++) {
          assert.ok(packs <= bound, `not in ${bound} packs`);
          pour();
          const { lane } = lanes.next()!;
          if (lane === '0.quiet') return;
          lanes.done(lane);
        }
      }),
    );
  });

  it('one that gets something urgent goes before those of its org that wait with less', () => {
    const lanes = new Lanes<Thing>(limits);
    for (const lane of ['a', 'b', 'c']) lanes.push(lane, 'o', thing('s', 0));
    lanes.push('c', 'o', thing('s', 2));
    assert.deepEqual([lanes.next()!.lane, lanes.next()!.lane, lanes.next()!.lane], ['c', 'a', 'b']);
  });
});
