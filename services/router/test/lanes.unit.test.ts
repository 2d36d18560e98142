/**
 * Goal: lanes keep order with one pack in flight each; the settled prefix never skips, and keeps nothing.
 * Method: random interleavings of pushes, takes and settlements against the plainest model.
 */

import assert from 'node:assert/strict';
import type { PriorityLevel } from '@fleetwire/kernel';
import { heldOf } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Lanes } from '../src/domain/lanes.ts';
import { Prefix } from '../src/domain/prefix.ts';

interface Thing {
  readonly size: number;
  readonly alone: boolean;
  readonly level: PriorityLevel;
  readonly sender: string;
  readonly n: number;
}

const plain = { size: 1, alone: false, level: 1, sender: 'a', n: 0 } as const;

/** By what keeps its order. */
function note(all: Map<string, number[]>, lane: string, { sender, level, n }: Thing): void {
  const key = `${lane} ${sender} ${level}`;
  all.set(key, [...(all.get(key) ?? []), n]);
}

const limits = { messages: 4, bytes: 100 };

describe('lanes', () => {
  it('give out what each sender has on one level in its order, one pack of a lane at a time, within the limits', () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('push' as const),
        lane: fc.integer({ min: 0, max: 3 }),
        size: fc.nat(150),
        alone: fc.boolean(),
        level: fc.constantFrom<PriorityLevel>(0, 1, 2, 3),
        sender: fc.constantFrom('a', 'b', 'c'),
      }),
      fc.record({ do: fc.constant('next' as const) }),
      fc.record({ do: fc.constant('done' as const), pick: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const lanes = new Lanes<Thing>(limits);
        const pushed = new Map<string, number[]>();
        const left = new Map<string, number[]>();
        const flying = new Set<string>();
        const take = () => {
          const pack = lanes.next();
          if (pack === undefined) return false;
          assert.ok(!flying.has(pack.lane), 'two packs of one lane in flight');
          flying.add(pack.lane);
          assert.ok(pack.items.length > 0 && pack.items.length <= limits.messages);
          const bytes = pack.items.reduce((sum, item) => sum + item.size, 0);
          assert.ok(bytes <= limits.bytes || pack.items.length === 1);
          assert.ok(pack.items.length === 1 || !pack.items.some((item) => item.alone));
          for (const item of pack.items) note(left, pack.lane, item);
          return true;
        };
        const done = (lane: string) => {
          flying.delete(lane);
          lanes.done(lane);
        };
        steps.forEach((s, n) => {
          if (s.do === 'push') {
            const item = { ...s, n };
            note(pushed, `lane${s.lane}`, item);
            lanes.push(`lane${s.lane}`, `org${s.lane % 2}`, item);
          } else if (s.do === 'next') take();
          else if (flying.size > 0) done([...flying][s.pick % flying.size]!);
        });
        for (;;) {
          while (take());
          if (flying.size === 0) break;
          for (const lane of flying) done(lane);
        }
        assert.deepEqual(left, pushed);
        assert.equal(lanes.size, 0);
      }),
    );
  });

  it('let the lane go first that has been ready longest', () => {
    const lanes = new Lanes<Thing>(limits);
    for (const lane of ['a', 'b', 'c']) lanes.push(lane, 'o', plain);
    assert.equal(lanes.next()?.lane, 'a');
    lanes.push('a', 'o', plain);
    lanes.done('a');
    assert.deepEqual([lanes.next()?.lane, lanes.next()?.lane, lanes.next()?.lane], ['b', 'c', 'a']);
  });

  it('refuse to settle what is not in flight', () => {
    const lanes = new Lanes<Thing>(limits);
    lanes.push('a', 'o', plain);
    assert.throws(() => lanes.done('a'), /in flight/);
    assert.throws(() => lanes.done('b'), /in flight/);
  });
});

describe('the settled prefix', () => {
  it('never gives a message while one before it is open, and gives all in the end', () => {
    const run = fc.record({ parts: fc.array(fc.nat(3), { maxLength: 60 }), picks: fc.array(fc.nat()) });
    fc.assert(
      fc.property(run, ({ parts, picks }) => {
        const prefix = new Prefix<{ sequence: number; open: number; bytes: number; parts: number }>();
        const slots = parts.map((open, i) => ({ sequence: 3 * i + 1, open, bytes: 10, parts: open }));
        for (const slot of slots) prefix.enter(slot);
        let acked = 0;
        const look = () => {
          const firstOpen = slots.find((slot) => slot.open > 0)?.sequence ?? Number.POSITIVE_INFINITY;
          acked = prefix.advance()?.sequence ?? acked;
          assert.ok(acked < firstOpen, 'acknowledged beyond an open message');
          const behind = slots.filter((slot) => slot.sequence > acked);
          assert.equal(prefix.bytes, 10 * behind.length);
          assert.equal(prefix.size, behind.length);
        };
        for (const pick of picks) {
          const open = slots.filter((slot) => slot.open > 0);
          if (open.length > 0) open[pick % open.length]!.open--;
          look();
        }
        for (const slot of slots) slot.open = 0;
        look();
        assert.equal(prefix.size, 0);
      }),
    );
  });

  it('holds on to no message that is settled', async () => {
    const prefix = new Prefix();
    const references = Array.from({ length: 100 }, (_, i) => {
      const slot = { sequence: i + 1, open: i === 99 ? 1 : 0, bytes: 10, parts: 1 };
      prefix.enter(slot);
      return new WeakRef(slot);
    });
    assert.equal(prefix.advance()?.sequence, 99);
    assert.equal(await heldOf(references), 1);
    assert.equal(prefix.size, 1);
  });

  it('takes messages in the order of the stream only', () => {
    const prefix = new Prefix();
    prefix.enter({ sequence: 5, open: 1, bytes: 1, parts: 1 });
    assert.throws(() => prefix.enter({ sequence: 5, open: 1, bytes: 1, parts: 1 }), /order/);
  });
});
