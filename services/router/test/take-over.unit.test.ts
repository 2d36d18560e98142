/**
 * Goal: a new epoch begins exactly where the older ones have come to, and nothing is pulled by two of them.
 * Method: consumers in memory, which note the order of what is done to them; a crash after any step.
 */

import assert from 'node:assert/strict';
import type { ConsumerSpec } from '@fleetwire/contract';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import type { PartitionWorker } from '../src/handlers/partition-worker.ts';
import { StrayDurables } from '../src/handlers/stray-durables.ts';
import type { Consumers } from '../src/handlers/take-over.ts';
import { checkPartitions, removePassed, takeOver } from '../src/handlers/take-over.ts';

class MemoryConsumers {
  readonly floors: Map<string, number>;
  readonly done: string[] = [];
  /** Steps that work before everything fails, as in a crash. */
  left = Number.POSITIVE_INFINITY;

  constructor(floors: Record<string, number>) {
    this.floors = new Map(Object.entries(floors));
  }

  async list() {
    return [...this.floors.keys(), 'delivery-history'];
  }
  async info(_stream: string, name: string) {
    const ackFloor = this.floors.get(name);
    if (ackFloor === undefined) return undefined;
    return { ackFloor, delivered: ackFloor, numPending: 0, numAckPending: 0 };
  }
  async create(spec: ConsumerSpec, o: { startSequence?: number | undefined } = {}) {
    this.#step(`create ${spec.durable_name} at ${o.startSequence}`);
    this.floors.set(spec.durable_name, o.startSequence! - 1);
  }
  async verify(spec: ConsumerSpec) {
    this.done.push(`verify ${spec.durable_name}`);
    assert.ok(this.floors.has(spec.durable_name));
  }
  async remove(_stream: string, name: string) {
    this.#step(`remove ${name}`);
    this.floors.delete(name);
  }
  #step(what: string): void {
    if (this.left-- <= 0) throw new Error('crashed');
    this.done.push(what);
  }
}

const take = (consumers: MemoryConsumers, epoch: number, certain = () => true) =>
  takeOver(consumers as unknown as Consumers, 3, epoch, certain);

describe('take-over', () => {
  it('creates, verifies, then removes the older durables of this partition only', async () => {
    const consumers = new MemoryConsumers({ 'router-p3-e0': 41, 'router-p3-e5': 60, 'router-p31-e1': 1 });
    assert.deepEqual(await take(consumers, 9), { durable: 'router-p3-e9', startSequence: 42 });
    assert.deepEqual(consumers.done, [
      'create router-p3-e9 at 42',
      'verify router-p3-e9',
      'remove router-p3-e0',
      'remove router-p3-e5',
    ]);
  });

  it('loses nothing when it dies after any step', async () => {
    for (let steps = 0; steps <= 3; steps++) {
      const consumers = new MemoryConsumers({ 'router-p3-e0': 41, 'router-p3-e5': 60 });
      consumers.left = steps;
      await take(consumers, 9).catch(() => {});
      consumers.left = Number.POSITIVE_INFINITY;
      const { startSequence } = await take(consumers, 12);
      assert.equal(startSequence, 42, `after ${steps} steps`);
      assert.deepEqual([...consumers.floors.keys()], ['router-p3-e12']);
    }
  });

  it('gives way to a newer epoch, and to its own', async () => {
    for (const epoch of [8, 9]) {
      const consumers = new MemoryConsumers({ 'router-p3-e9': 10 });
      await assert.rejects(take(consumers, epoch), { reason: 'EPOCH_PASSED' });
      assert.deepEqual(consumers.done, []);
    }
  });

  it('refuses a partition whose mail nobody kept', async () => {
    const consumers = new MemoryConsumers({ 'router-p1-e0': 0 });
    await assert.rejects(take(consumers, 9), { reason: 'PARTITION_UNCONSUMED' });
  });

  it('changes nothing once the lease is not certain', async () => {
    for (const allowed of [0, 1]) {
      let asked = 0;
      const consumers = new MemoryConsumers({ 'router-p3-e0': 41 });
      await assert.rejects(
        take(consumers, 9, () => asked++ < allowed),
        { reason: 'EPOCH_PASSED' },
      );
      assert.deepEqual([...consumers.floors.keys()], ['router-p3-e0']);
    }
  });

  it('leaves no durable behind a newer epoch, whose mail nobody would acknowledge', async () => {
    const consumers = new MemoryConsumers({ 'router-p3-e0': 41 });
    // Its lease is lost as the durable is made, and the successor has been quicker.
    const create = consumers.create.bind(consumers);
    consumers.create = async (spec, o) => {
      consumers.floors.clear();
      consumers.floors.set('router-p3-e12', 41);
      await create(spec, o);
    };
    let asked = 0;
    await assert.rejects(
      take(consumers, 9, () => asked++ < 1),
      { reason: 'EPOCH_PASSED' },
    );
    assert.deepEqual([...consumers.floors.keys()], ['router-p3-e12']);
  });

  describe('durables that a paused router has left behind its successor', () => {
    const names = ['router-p0-e4', 'router-p3-e9', 'router-p3-e12', 'router-p3-e13', 'router-p5-e1'];
    const consumersOf = (all: readonly string[]) =>
      new MemoryConsumers(Object.fromEntries(all.map((name) => [name, 41])));
    const remove = (consumers: MemoryConsumers, held: Map<number, number>) =>
      removePassed(consumers as unknown as Consumers, () => held);

    it('go, and nothing else', async () => {
      const consumers = consumersOf(names);
      assert.deepEqual(await remove(consumers, new Map([[3, 12]])), ['router-p3-e9']);
      assert.deepEqual(consumers.done, ['remove router-p3-e9']);
      assert.deepEqual(await remove(consumers, new Map([[3, 12]])), []);
    });

    it('stay where nobody has finished a take-over, by what is known once they are listed', async () => {
      const consumers = consumersOf(names);
      assert.deepEqual(await remove(consumers, new Map()), []);
      const held = new Map([[3, 12]]);
      const list = consumers.list.bind(consumers);
      consumers.list = async () => {
        held.delete(3);
        return list();
      };
      assert.deepEqual(await remove(consumers, held), []);
    });

    it('stay where the durable that should have their mail is gone', async () => {
      // As after the leases bucket was made anew, with epochs that count from 1 again.
      assert.deepEqual(await remove(consumersOf(['router-p3-e2']), new Map([[3, 12]])), []);
    });

    it('are looked for by who routes only: while a partition is taken over, they are all that keeps its mail', async () => {
      const consumers = consumersOf(['router-p3-e9', 'router-p3-e12']);
      const worker = { partition: 3, epoch: 12, state: 'taking over' as PartitionWorker['state'] };
      let looks = 0;
      const list = consumers.list.bind(consumers);
      consumers.list = async () => {
        looks++;
        return list();
      };
      const log = { warn: () => {} } as never;
      const parts = {
        consumers: consumers as unknown as Consumers,
        workers: () => [worker],
        intervalMs: 1,
        log,
      };
      const stray = new StrayDurables(parts);
      stray.start();
      for (const state of ['taking over', 'acquiring', 'waiting', 'draining', 'ended'] as const) {
        worker.state = state;
        const before = looks;
        await eventually(() => looks > before + 2);
        assert.deepEqual(consumers.done, []);
      }
      worker.state = 'routing';
      await eventually(() => consumers.done.length > 0);
      stray.stop();
      assert.deepEqual(consumers.done, ['remove router-p3-e9']);
    });
  });

  it('knows whether a fabric has just the partitions that it should', async () => {
    const two = new MemoryConsumers({ 'router-p0-e0': 0, 'router-p1-e7': 0 }) as unknown as Consumers;
    await checkPartitions(two, 2);
    await assert.rejects(checkPartitions(two, 3), { reason: 'PARTITION_UNCONSUMED' });
    await assert.rejects(checkPartitions(two, 1), { reason: 'PARTITIONS_DIFFER' });
  });
});
