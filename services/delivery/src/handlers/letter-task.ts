/** Completes what a call about dead letters could not: replays that are recorded but not published, and the audit of both. */

import { type Clock, causeChain, repeatEvery } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { untoldRequests } from '../store/replay-table.ts';
import { type LetterAuditParts, tellAudit } from './letter-audit.ts';
import { publishReplays, type ReplayDeskParts } from './replay-desk.ts';

export interface LetterTaskOptions {
  readonly desk: ReplayDeskParts;
  readonly audit: LetterAuditParts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervalMs: number;
  /** What is younger than this is left to the call that it came with. */
  readonly leaveMs: number;
}

const REQUESTS = 100;

/** Any replica may do it, and several at once: everything is published under the same ids. */
export class LetterTask {
  readonly name = 'dead letters';
  readonly stats = { completed: 0, told: 0 };
  readonly #o: LetterTaskOptions;
  readonly #stopping = new AbortController();
  #ended: Promise<void> = Promise.resolve();

  constructor(options: LetterTaskOptions) {
    this.#o = options;
  }

  start(): void {
    this.#ended = repeatEvery(this.#o.intervalMs, this.#stopping.signal, () => this.#complete());
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  async #complete(): Promise<void> {
    const { desk, audit, clock, log, leaveMs } = this.#o;
    const mayGoOn = () => !this.#stopping.signal.aborted;
    try {
      const beforeUs = clock.nowUs() - leaveMs * 1000;
      this.stats.completed += await publishReplays(desk, { beforeUs }, mayGoOn);
      for (const request of await untoldRequests(audit.store, beforeUs, REQUESTS)) {
        if (!mayGoOn()) return;
        await tellAudit(audit, request);
        this.stats.told++;
      }
    } catch (error) {
      if (mayGoOn()) log.warn({ cause: causeChain(error) }, 'replays cannot be completed yet, trying on');
    }
  }
}
