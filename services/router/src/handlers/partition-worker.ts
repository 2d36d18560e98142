/** Holds one partition: lease, take-over, session; after any doubt the same again under a new epoch. */

import type { Broker, Lease, LeaseClaims, PulledMessage } from '@fleetwire/broker';
import { LEASE_KEYS } from '@fleetwire/contract';
import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, causeChain, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { FlowCounts, FlowOptions } from '../domain/partition-flow.ts';
import { PartitionFlow } from '../domain/partition-flow.ts';
import { Restarts } from '../domain/restarts.ts';
import type { NameLookup } from './name-lookup.ts';
import type { SessionLimits } from './partition-session.ts';
import { PartitionSession } from './partition-session.ts';
import type { PeerFrames } from './peer-frames.ts';
import { takeOver } from './take-over.ts';

export interface WorkerOptions {
  readonly broker: Broker;
  readonly leases: LeaseClaims;
  readonly flow: Omit<FlowOptions, 'partition'>;
  readonly lookup: NameLookup;
  /** Resolves when the routing table is as new as the bucket was at the call, or cannot be brought there in time. */
  readonly tableFresh: () => Promise<void>;
  readonly frames: PeerFrames;
  readonly limits: SessionLimits;
  readonly restart: BackoffPolicy;
  readonly drainMs: number;
  readonly log: Logger;
  /** Told what each session did, when it ends. */
  readonly onEnd?: (counts: FlowCounts) => void;
}

export type WorkerState = 'acquiring' | 'taking over' | 'routing' | 'waiting' | 'draining' | 'ended';

export class PartitionWorker {
  readonly partition: number;
  readonly #o: WorkerOptions;
  readonly #stopping = new AbortController();
  #state: WorkerState = 'acquiring';
  #epoch = 0;
  readonly #restarts = new Restarts();
  /** When the session of now began to route; infinite while there is none. */
  #routingSinceMs = Number.POSITIVE_INFINITY;
  /** Where the last take-over began: it grows when what was before it is done. */
  #start = 0;
  /** Why the last session ended. */
  #why = '';
  #session: PartitionSession | undefined;
  #flow: PartitionFlow<PulledMessage> | undefined;
  /** Resolves when the partition is let go of, by `stop` or because another router has its lease. */
  readonly ended: Promise<void>;

  constructor(partition: number, options: WorkerOptions) {
    this.partition = partition;
    this.#o = options;
    this.ended = this.#run();
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Of the lease that is or was held last; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  /** What is in memory, and what was done under this epoch. */
  get load(): { entries: number; bytes: number; lag_ms: number } & FlowCounts {
    const flow = this.#flow;
    const counts = flow?.counts ?? { routed: 0, local: 0, returned: 0, expired: 0, dead: 0 };
    const lag_ms = Math.round(this.#session?.lagMs ?? 0);
    return { entries: flow?.parts ?? 0, bytes: flow?.bytes ?? 0, lag_ms, ...counts };
  }

  /** Restarts in a row that got nowhere; `stuck` once they are too many within a minute. */
  get restarts(): { readonly inVain: number; readonly stuck: boolean } {
    this.#noteLasting();
    return { inVain: this.#restarts.inVain, stuck: this.#restarts.stuck };
  }

  /** As the flow's `holds`; what an ended session had in memory is published by its successor, by a later table. */
  holds(subject: string): boolean {
    return this.#flow?.holds(subject) ?? false;
  }

  /** Finishes what is in memory and gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#session !== undefined) {
      this.#state = 'draining';
      this.#session.drain(this.#o.drainMs);
    }
    await this.ended;
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; failures++) {
      const startedMs = performance.now();
      if ((await this.#hold()) === 'taken') break;
      if (performance.now() - startedMs > this.#o.restart.maxMs) failures = 0;
      if (this.#stopping.signal.aborted) break;
      this.#noteFailure();
      this.#state = 'waiting';
      await pause(backoffMs(this.#o.restart, failures), this.#stopping.signal);
    }
    this.#state = 'ended';
  }

  #noteFailure(): void {
    this.#noteLasting();
    this.#routingSinceMs = Number.POSITIVE_INFINITY;
    if (!this.#restarts.failed(performance.now())) return;
    const { partition, epoch } = this;
    const text = 'a partition restarts again and again and gets nowhere: its mail waits';
    this.#o.log.error({ partition, epoch, restarts: this.#restarts.inVain, why: this.#why }, text);
  }

  /** A session that outlasts the longest wait between two of them is sound. */
  #noteLasting(): void {
    if (performance.now() - this.#routingSinceMs > this.#o.restart.maxMs) this.#noteProgress();
  }

  #noteProgress(): void {
    const { partition, epoch } = this;
    if (this.#restarts.progressed()) this.#o.log.info({ partition, epoch }, 'a partition gets on again');
  }

  /** One lease from its acquisition to its end; `taken` when another router has it. */
  async #hold(): Promise<'taken' | 'ended'> {
    this.#state = 'acquiring';
    let lease: Lease | undefined;
    try {
      lease = await this.#o.leases.acquire(LEASE_KEYS.partition(this.partition));
      if (lease === undefined) return 'taken';
      this.#epoch = lease.epoch;
      await this.#routeUnder(lease);
    } catch (error) {
      const { partition, epoch } = this;
      this.#why = causeChain(error);
      this.#o.log.warn({ partition, epoch, error: this.#why }, 'a partition could not be held');
    } finally {
      await lease?.release().catch(() => {}); // it lapses by itself
    }
    return 'ended';
  }

  async #routeUnder(lease: Lease): Promise<void> {
    const { broker, log } = this.#o;
    const generation = broker.generation();
    const certain = () => lease.valid() && broker.generation() === generation && broker.connected();
    this.#state = 'taking over';
    const { durable, startSequence } = await takeOver(broker.consumers, this.partition, lease.epoch, certain);
    await this.#o.tableFresh();
    if (startSequence > this.#start) this.#noteProgress();
    this.#start = startSequence;
    const flow = new PartitionFlow<PulledMessage>({ ...this.#o.flow, partition: this.partition });
    const { lookup, frames, limits } = this.#o;
    const session = new PartitionSession({ broker, durable, flow, lookup, frames, certain, limits, log });
    const { partition, epoch } = this;
    log.info({ partition, epoch, start: startSequence }, 'routing a partition');
    this.#flow = flow;
    this.#session = session;
    if (!this.#stopping.signal.aborted) await this.#watch(lease, session);
    this.#session = undefined;
    this.#flow = undefined;
    this.#why = session.doubt ?? '';
    this.#o.onEnd?.(flow.counts);
    log.info({ partition, epoch, why: session.doubt, ...flow.counts }, 'a partition is let go of');
  }

  /** Runs the session while lease and connection are sound. */
  async #watch(lease: Lease, session: PartitionSession): Promise<void> {
    const { broker } = this.#o;
    const onLost = () => session.halt('the lease was lost');
    lease.lost.addEventListener('abort', onLost, { once: true });
    const forget = [
      broker.onGeneration(() => session.halt('the connection was made anew')),
      broker.onDisconnect(() => session.halt('the connection was lost')),
    ];
    this.#state = 'routing';
    this.#routingSinceMs = performance.now();
    await session.run();
    lease.lost.removeEventListener('abort', onLost);
    for (const off of forget) off();
  }
}
