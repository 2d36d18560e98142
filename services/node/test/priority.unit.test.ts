/**
 * Goal: whatever the levels and the order of events, each message is delivered once, first in first out in its level, under
 * ascending numbers, and after a crash the node knows exactly what it had attempted.
 * Method: random arrivals, windows, acknowledgements, put-backs and crashes over a real database file, against a model.
 */

import assert from 'node:assert/strict';
import { Priority } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { HostedAgent, Taker } from '../src/agents/hosted-agent.ts';
import type { Entry } from '../src/domain/queue.ts';
import { confirmed } from '../src/domain/receipt.ts';
import { addAgent, entryFor, hold, type TestEngine, testEngine } from './engine-fixture.ts';

type Step =
  | { readonly do: 'hold'; readonly priority: Priority }
  | { readonly do: 'attempt'; readonly room: number }
  | { readonly do: 'ack'; readonly share: number }
  | { readonly do: 'put-back' }
  | { readonly do: 'crash' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('hold' as const),
      priority: fc.constantFrom<Priority[]>(1, 2, 3, 4),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('attempt' as const), room: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('ack' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'put-back' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'crash' as const }) },
);

interface Made {
  readonly seq: number;
  readonly level: number;
  readonly delivery: number;
}

class Model implements Taker {
  /** Attempts in order, without those that were put back. */
  readonly made: Made[] = [];
  readonly open = new Map<number, Made>();
  room = 0;

  hasRoom(): boolean {
    return this.room-- > 0;
  }

  deliver(entries: readonly Entry[]): void {
    for (const { seq, level, delivery } of entries) {
      assert.ok(!this.made.some((one) => one.seq === seq), 'attempted twice');
      const last = this.made.at(-1);
      assert.ok(last === undefined || delivery > last.delivery, 'numbers ascend');
      const before = this.made.findLast((one) => one.level === level);
      assert.ok(before === undefined || before.seq < seq, 'first in first out');
      const one = { seq, level, delivery };
      this.made.push(one);
      this.open.set(delivery, one);
    }
  }
}

function assertSame(agent: HostedAgent, model: Model): void {
  const known = [...agent.queue.attempted].map(([delivery, { seq, level }]) => ({ seq, level, delivery }));
  assert.deepEqual(known, [...model.open.values()]);
}

describe('delivery by priority', function () {
  this.timeout(60_000);

  it('is exact, also over crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        let test = await testEngine();
        try {
          test = await run(test, steps);
        } finally {
          await test.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  it('numbers deliveries by sequence again once all that was overtaken is delivered', async () => {
    const test = await testEngine();
    const bob = await addAgent(test.engine, 'bob');
    for (const priority of [Priority.NORMAL, Priority.LOW, Priority.HIGH, Priority.SYSTEM])
      await hold(test, bob, entryFor(bob.id, test.clock, { priority }));
    const model = new Model();
    bob.taker = model;
    const touch = (room: number) => {
      model.room = room;
      return test.engine.turns.run(() => test.engine.custody.touch(bob));
    };
    await touch(4);
    assert.deepEqual(
      model.made.map(({ seq, delivery }) => [seq, delivery]),
      [
        [4, 1],
        [3, 2],
        [1, 3],
        [2, 4],
      ],
    );
    await hold(test, bob, entryFor(bob.id, test.clock));
    await touch(1);
    assert.deepEqual(model.made.at(-1), { seq: 5, level: 1, delivery: 5 });
    await test.close();
  });
});

async function run(first: TestEngine, steps: readonly Step[]): Promise<TestEngine> {
  let test = first;
  // What was attempted by a program stays so over a crash.
  let bob = await addAgent(test.engine, 'bob', 'tmux');
  const model = new Model();
  bob.taker = model;
  let held = 0;
  for (const one of steps) {
    model.room = 0;
    if (one.do === 'hold') {
      held++;
      await hold(test, bob, entryFor(bob.id, test.clock, { priority: one.priority }));
    } else if (one.do === 'attempt') await attempt(test, bob, model, one.room);
    else if (one.do === 'ack') await acknowledge(test, bob, model, one.share);
    else if (one.do === 'put-back') await putBack(test, bob, model);
    else {
      test = await test.crash();
      bob = test.engine.book.named('bob');
      bob.taker = model;
    }
    assertSame(bob, model);
  }
  await attempt(test, bob, model, Number.POSITIVE_INFINITY);
  assert.equal(model.made.length, held);
  return test;
}

function attempt({ engine }: TestEngine, bob: HostedAgent, model: Model, room: number): Promise<void> {
  model.room = room;
  return engine.turns.run(() => engine.custody.touch(bob));
}

/** As a client does: all up to some number. */
function acknowledge({ engine }: TestEngine, bob: HostedAgent, model: Model, share: number): Promise<void> {
  const open = [...model.open.keys()];
  const upTo = open[Math.floor(share * open.length)] ?? 0;
  for (const delivery of open) if (delivery <= upTo) model.open.delete(delivery);
  return engine.turns.run(() => {
    engine.custody.end(bob.queue.named({ upTo, also: [] }, bob.attempts.last), confirmed());
  });
}

/** The last attempt, while it is open: it certainly did not get there. */
async function putBack({ engine }: TestEngine, bob: HostedAgent, model: Model): Promise<void> {
  const last = model.made.at(-1);
  if (last === undefined || !model.open.has(last.delivery)) return;
  model.made.pop();
  model.open.delete(last.delivery);
  await engine.turns.run(() => engine.custody.putBack(bob.queue.attempted.get(last.delivery)!));
}
