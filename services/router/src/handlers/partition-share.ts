/** Shares the partitions out among the routers that are alive: says that this one is, looks around, takes and gives. */

import type { Bucket, Lease, LeaseClaims } from '@fleetwire/broker';
import { LEASE_KEYS } from '@fleetwire/contract';
import { causeChain, repeatEvery } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { share } from '../domain/fair-share.ts';
import type { PartitionWorker } from './partition-worker.ts';

export interface PartitionShareOptions {
  readonly bucket: Pick<Bucket, 'keys'>;
  readonly leases: LeaseClaims;
  readonly instance: string;
  readonly partitions: number;
  readonly intervalMs: number;
  /** Begins to hold a partition. */
  readonly work: (partition: number) => PartitionWorker;
  readonly log: Logger;
}

const MEMBER_PREFIX = LEASE_KEYS.router('');

export class PartitionShare {
  readonly name = 'partitions';
  readonly #o: PartitionShareOptions;
  readonly #workers = new Map<number, PartitionWorker>();
  readonly #leaving = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #presence: Lease | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: PartitionShareOptions) {
    this.#o = options;
  }

  get workers(): readonly PartitionWorker[] {
    return [...this.#workers.values()];
  }

  /** True while mail for this subject is in the memory of this replica, partitions that are being given back included. */
  holds(subject: string): boolean {
    for (const worker of this.#workers.values()) if (worker.holds(subject)) return true;
    return false;
  }

  async start(): Promise<void> {
    await this.#look();
    this.#looking = repeatEvery(this.#o.intervalMs, this.#stopping.signal, () => this.#look());
  }

  /** Presence goes first, so that the others see room; then every partition is drained and given back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
    await this.#presence?.release().catch(() => {}); // it lapses by itself
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await Promise.all(this.#leaving);
  }

  async #look(): Promise<void> {
    try {
      if (!this.#presence?.valid()) {
        this.#presence = await this.#o.leases.acquire(LEASE_KEYS.router(this.#o.instance));
      }
      this.#follow(await this.#o.bucket.keys());
    } catch (error) {
      this.#o.log.warn({ error: causeChain(error) }, 'could not see who holds which partition');
    }
  }

  #follow(keys: readonly string[]): void {
    const present = new Set(keys);
    const { partitions, instance: me } = this.#o;
    const all = Array.from({ length: partitions }, (_, p) => p);
    const decision = share({
      partitions,
      me,
      live: keys.filter((k) => k.startsWith(MEMBER_PREFIX)).map((k) => k.slice(MEMBER_PREFIX.length)),
      mine: [...this.#workers.keys()],
      taken: new Set(all.filter((p) => present.has(LEASE_KEYS.partition(p)))),
    });
    for (const partition of decision.acquire) this.#take(partition);
    if (decision.release !== undefined && this.#leaving.size === 0) this.#give(decision.release);
  }

  #take(partition: number): void {
    const worker = this.#o.work(partition);
    this.#workers.set(partition, worker);
    void worker.ended.then(() => {
      if (this.#workers.get(partition) === worker) this.#workers.delete(partition);
    });
  }

  #give(partition: number): void {
    const worker = this.#workers.get(partition)!;
    const left = worker.stop().finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }
}
