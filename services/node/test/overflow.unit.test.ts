/**
 * Goal: what waits for one agent's room keeps its order, is bounded, ends in time, and a pack is settled with its last parcel.
 * Method: an engine over a real database file; parcels put mail into custody; laws over random arrivals and departures.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { Envelope } from '@fleetwire/gen/message';
import { newMessageId } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { confirmed } from '../src/domain/receipt.ts';
import { Overflow, type OverflowParts, type Pack } from '../src/hub/overflow.ts';
import {
  addAgent,
  entryFor,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

const QUEUE = 4;
const PACK_BYTES = 100;
const ROOMY = { waitMs: 60_000, messages: 1000, bytes: 1_000_000, packs: 1000 };

class Bench {
  readonly test: TestEngine;
  readonly overflow: Overflow;
  readonly agents: HostedAgent[];
  readonly takers: TestTaker[] = [];
  /** Ids in the order in which they came, and in which they were taken in, by agent. */
  readonly came: string[][] = [];
  readonly taken: string[][] = [];
  readonly settled: Pack[] = [];

  constructor(test: TestEngine, agents: HostedAgent[], bounds: Partial<OverflowParts>) {
    this.test = test;
    this.agents = agents;
    const { book, turns } = test.engine;
    const settled = (pack: Pack) => this.settle(pack);
    this.overflow = new Overflow({ book, turns, clock: test.clock, ...ROOMY, ...bounds, settled });
    for (const agent of agents) {
      const taker = new TestTaker();
      agent.taker = taker;
      this.takers.push(taker);
      this.came.push([]);
      this.taken.push([]);
    }
  }

  static async make(count: number, bounds: Partial<OverflowParts> = {}): Promise<Bench> {
    const test = await testEngine({ queue_messages: QUEUE });
    const agents: HostedAgent[] = [];
    for (let i = 0; i < count; i++) agents.push(await addAgent(test.engine, `agent${i}`));
    return new Bench(test, agents, bounds);
  }

  settle(pack: Pack): void {
    if (--pack.left === 0) this.settled.push(pack);
  }

  /** One pack with a message for each of these agents, by index. */
  put(...to: readonly number[]): Promise<Pack> {
    const pack: Pack = { message: pulled(), left: 1, waiting: 0 };
    return this.test.engine.turns.run(() => {
      for (const i of to) this.#offer(pack, i);
      this.settle(pack);
      return pack;
    });
  }

  #offer(pack: Pack, i: number): void {
    const agent = this.agents[i]!;
    const id = newMessageId();
    this.came[i]!.push(id);
    const entry = entryFor(agent.id, this.test.clock, { id });
    const { envelope } = entry;
    const take = () => {
      this.taken[i]!.push(id);
      this.test.engine.custody.hold(agent, Envelope.decode(envelope), envelope, { ...entry, history: true });
    };
    if (this.overflow.mustWait(agent.id, agent, envelope.length)) {
      pack.left++;
      if (this.overflow.add(agent.id, agent, { pack, needs: envelope.length, take })) return;
      pack.left--;
    }
    take();
  }

  /** The agent acknowledges its oldest deliveries. */
  confirm(i: number, count: number): Promise<void> {
    const entries = this.takers[i]!.taken.splice(0, count);
    return this.test.engine.turns.run(() => this.test.engine.custody.end(entries, confirmed()));
  }

  reasons(): string[] {
    return receiptsFor(this.test.engine, OTHER_NODE).map(({ reason }) => reason);
  }

  close(): Promise<void> {
    this.overflow.clear();
    return this.test.close();
  }
}

function pulled(): PulledMessage {
  const never = () => assert.fail('it is not for the overflow to say');
  const numbers = { sequence: 1, deliverySequence: 1, deliveries: 1, storedAtUs: 1 };
  const calls = { header: () => '', ack: never, nak: never, working: () => undefined };
  return { subject: '', data: new Uint8Array(PACK_BYTES), ...numbers, ...calls };
}

describe('overflow', function () {
  this.timeout(60_000);

  it('lets all others pass, and settles a pack with its last parcel', async () => {
    const bench = await Bench.make(2);
    await bench.put(0, 0, 0, 0);
    const mixed = await bench.put(0, 1, 0, 1);
    const behind = await bench.put(1, 1);
    assert.deepEqual(bench.taken[1], bench.came[1]);
    assert.ok(!bench.settled.includes(mixed) && bench.settled.includes(behind));
    await bench.confirm(0, 1);
    assert.ok(!bench.settled.includes(mixed));
    await bench.confirm(0, 1);
    assert.ok(bench.settled.includes(mixed));
    assert.deepEqual([bench.taken[0], bench.overflow.depth(bench.agents[0]!.id)], [bench.came[0], 0]);
    await bench.close();
  });

  it('keeps each agent’s order, whatever comes and goes', async () => {
    const agent = fc.integer({ min: 0, max: 2 });
    const step = fc.oneof(
      fc.array(agent, { minLength: 1, maxLength: 6 }),
      fc.record({ agent, count: fc.nat(4) }),
    );
    const bounds = fc.record({
      messages: fc.integer({ min: 1, max: 8 }),
      bytes: fc.integer({ min: 1, max: 10 * PACK_BYTES }),
      packs: fc.integer({ min: 1, max: 10 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), bounds, async (steps, limits) => {
        const bench = await Bench.make(3, limits);
        const packs: Pack[] = [];
        for (const one of steps) {
          if (Array.isArray(one)) packs.push(await bench.put(...one));
          else await bench.confirm(one.agent, one.count);
          for (const [i, { id }] of bench.agents.entries()) {
            assert.deepEqual(bench.taken[i], bench.came[i]!.slice(0, bench.taken[i]!.length));
            const depth = bench.overflow.depth(id);
            assert.equal(depth, bench.came[i]!.length - bench.taken[i]!.length);
            assert.ok(depth <= limits.messages);
            assert.equal(bench.agents[i]!.roomMade !== undefined, depth > 0);
          }
          assert.ok(packs.filter(({ left }) => left > 0).length <= limits.packs);
          assert.equal(bench.settled.length, packs.filter(({ left }) => left === 0).length);
        }
        await bench.close();
      }),
      { numRuns: 60 },
    );
  });

  it('returns the oldest of it at its bound', async () => {
    const bench = await Bench.make(1, { messages: 2 });
    await bench.put(0, 0, 0, 0, 0, 0);
    assert.deepEqual(bench.reasons(), []);
    await bench.put(0);
    assert.deepEqual(bench.reasons(), ['QUEUE_FULL']);
    assert.equal(bench.overflow.depth(bench.agents[0]!.id), 2);
    await bench.close();
  });

  it('returns what has waited in vain, and keeps nobody waiting for an agent that nobody is', async () => {
    const bench = await Bench.make(1, { waitMs: 20 });
    await bench.put(0, 0, 0, 0, 0, 0);
    assert.deepEqual(bench.reasons(), []);
    await eventually(() => bench.reasons().length === 2);
    bench.agents[0]!.taker = undefined;
    await bench.put(0);
    assert.deepEqual(bench.reasons(), ['QUEUE_FULL', 'QUEUE_FULL', 'QUEUE_FULL']);
    assert.equal(bench.settled.length, 2);
    await bench.close();
  });

  it('waits longer for a session that should return', async () => {
    const bench = await Bench.make(1, { waitMs: 1 });
    const [agent] = bench.agents;
    await bench.put(0, 0, 0, 0);
    agent!.taker = undefined;
    agent!.expectedUntilMs = bench.test.clock.monotonicMs() + 60_000;
    const pack = await bench.put(0);
    // Its time would be up before this turn of the clock.
    await eventually(() => bench.test.clock.monotonicMs() > agent!.expectedUntilMs - 59_900);
    assert.deepEqual([bench.reasons(), pack.left], [[], 1]);
    agent!.taker = bench.takers[0];
    await bench.confirm(0, 1);
    assert.equal(pack.left, 0);
    await bench.close();
  });

  it('settles nothing more once it is cleared', async () => {
    const bench = await Bench.make(1);
    await bench.put(0, 0, 0, 0);
    const pack = await bench.put(0, 0);
    bench.overflow.clear();
    await bench.confirm(0, 4);
    assert.deepEqual([pack.left, bench.taken[0]!.length], [2, 4]);
    await bench.close();
  });
});
