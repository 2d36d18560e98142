/** Makes a partition this router's own: a durable of its epoch where the older ones have come to, then theirs away. */

import type { Broker } from '@fleetwire/broker';
import { parseRouterConsumer, routerConsumer } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';

/** What take-over needs of a broker. */
export type Consumers = Pick<Broker['consumers'], 'list' | 'info' | 'create' | 'verify' | 'remove'>;

/**
 * A durable is never shared: with ack-all a second holder's ack would skip what the first had pulled. So each epoch
 * has its own, which begins behind the lowest ack floor of the older ones; nothing is pulled before they are gone.
 * Throws `PARTITION_UNCONSUMED` when there is none to take over from, since mail may then have been lost, and
 * `EPOCH_PASSED` when another router is already further. `certain` is asked before each change; when it is over, or the new
 * durable cannot be made, before an older one has gone, nothing is left of the attempt.
 */
export async function takeOver(
  consumers: Consumers,
  partition: number,
  epoch: number,
  certain: () => boolean,
): Promise<{ durable: string; startSequence: number }> {
  const older = await olderDurables(consumers, partition, epoch);
  const startSequence = (await lowestFloor(consumers, older)) + 1;
  const spec = routerConsumer(partition, epoch);
  assertCertain(certain, partition);
  try {
    await consumers.create(spec, { startSequence });
    await consumers.verify(spec);
    assertCertain(certain, partition);
  } catch (error) {
    // The older ones are there, or one that is newer. What a stopped or slow router makes behind its successor's back would
    // be nobody's until the next take-over, and keep all mail of the partition in the stream.
    await consumers.remove('INGRESS', spec.durable_name).catch(() => undefined);
    throw error;
  }
  for (const durable of older) {
    assertCertain(certain, partition);
    await consumers.remove('INGRESS', durable);
  }
  return { durable: spec.durable_name, startSequence };
}

/**
 * Removes what a router has left that was paused amid its take-over, and killed when it went on: a durable behind its
 * successor's, which nobody pulls and which keeps all mail of the partition in the stream. `held` has the epochs of
 * partitions whose take-over is finished, asked for once the names are known; where the durable of that epoch is there, it has
 * all that one of a lower epoch could keep. Resolves to the names of what was removed.
 */
export async function removePassed(
  consumers: Pick<Consumers, 'list' | 'remove'>,
  held: () => ReadonlyMap<number, number>,
): Promise<string[]> {
  const names = await consumers.list('INGRESS');
  const epochs = held();
  const gone = names.filter((name) => {
    const { partition, epoch } = parseRouterConsumer(name) ?? { partition: -1, epoch: 0 };
    const own = epochs.get(partition);
    return own !== undefined && epoch < own && names.includes(routerConsumer(partition, own).durable_name);
  });
  for (const name of gone) await consumers.remove('INGRESS', name);
  return gone;
}

/** Throws when the durables do not stand for exactly the partitions 0 to `partitions` - 1. */
export async function checkPartitions(consumers: Consumers, partitions: number): Promise<void> {
  const found = new Set<number>();
  for (const name of await consumers.list('INGRESS')) {
    const parsed = parseRouterConsumer(name);
    if (parsed !== undefined) found.add(parsed.partition);
  }
  for (let p = 0; p < partitions; p++) if (!found.delete(p)) throw unconsumed(p);
  if (found.size === 0) return;
  const [other] = found;
  const message = `there is a durable of partition ${other}, but the fabric has ${partitions}`;
  throw new FleetwireError('failed_precondition', 'PARTITIONS_DIFFER', message, {
    help: 'Look who made it; nodes that publish there are not of this fabric.',
  });
}

async function olderDurables(consumers: Consumers, partition: number, epoch: number): Promise<string[]> {
  const older: string[] = [];
  for (const name of await consumers.list('INGRESS')) {
    const parsed = parseRouterConsumer(name);
    if (parsed?.partition !== partition) continue;
    if (parsed.epoch >= epoch) {
      throw new FleetwireError(
        'aborted',
        'EPOCH_PASSED',
        `partition ${partition} is at epoch ${parsed.epoch}, this router came with ${epoch}`,
        {
          help: 'Should no router hold it for minutes, the leases bucket was made anew: run bootstrap again.',
        },
      );
    }
    older.push(name);
  }
  if (older.length === 0) throw unconsumed(partition);
  return older;
}

/** A durable that is gone by now was removed by a router of a newer epoch, which the lease will tell. */
async function lowestFloor(consumers: Consumers, durables: readonly string[]): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (const durable of durables) {
    const info = await consumers.info('INGRESS', durable);
    if (info === undefined) throw passed(durable);
    lowest = Math.min(lowest, info.ackFloor);
  }
  return lowest;
}

function assertCertain(certain: () => boolean, partition: number): void {
  if (!certain()) throw passed(`the lease of partition ${partition}`);
}

function passed(what: string): FleetwireError {
  return new FleetwireError('aborted', 'EPOCH_PASSED', `${what} went away during the take-over`);
}

function unconsumed(partition: number): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'PARTITION_UNCONSUMED',
    `no durable keeps the mail of partition ${partition}`,
    { help: 'Run bootstrap; mail sent meanwhile to this partition was not kept.' },
  );
}
