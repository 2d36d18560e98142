/** Follows deletions of orgs: clears what is here and tells org, again and again until the deletion has gone on. */

import type { Lease } from '@fleetwire/broker';
import type { OrgServiceDefinition } from '@fleetwire/gen/org';
import { asFleetwireError } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import { type OrgDirectory, Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { deletionUnderWay } from '../domain/orgs.ts';

export interface OrgClearingOptions {
  readonly orgs: Pick<OrgDirectory, 'get' | 'all' | 'onChange'>;
  /** Undefined: another replica is at it. */
  readonly acquire: () => Promise<Lease | undefined>;
  /** False when it was broken off. Safe to repeat. */
  readonly clear: (org: string, deletion: number, mayGoOn: () => boolean) => Promise<boolean>;
  readonly service: Pick<RpcClient<OrgServiceDefinition>, 'confirmCleared'>;
  readonly log: Logger;
}

interface Deletion {
  readonly org: string;
  readonly number: number;
}

const RETRY = { initialMs: 200, maxMs: 10_000 } as const;
/** While nothing is deleted there is nothing to do but wait to be woken. */
const IDLE_MS = 60_000;

/**
 * Nothing is remembered but by PostgreSQL and org. An org is cleared and confirmed for as long as it is seen under deletion,
 * also after org has answered: it may not have come to that step yet, and says nothing of it then. So a restart at any
 * moment changes nothing. One that was restored meanwhile is left alone.
 */
export class OrgClearing {
  readonly name = 'org clearing';
  readonly #options: OrgClearingOptions;
  readonly #rounds: Rounds;
  /** The deletion of each org that was confirmed last, so that the log says it once. */
  readonly #confirmed = new Map<string, number>();
  #unfollow: () => void = () => undefined;

  constructor(options: OrgClearingOptions) {
    this.#options = options;
    const work = (stopping: AbortSignal) => this.#clearAll(stopping);
    this.#rounds = new Rounds({ name: this.name, intervalMs: IDLE_MS, log: options.log, work, retry: RETRY });
  }

  start(): void {
    this.#unfollow = this.#options.orgs.onChange((org) => {
      if (deletionUnderWay(org) !== undefined) this.#rounds.kick();
    });
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    await this.#rounds.stop();
  }

  /** Deletions under way. */
  get open(): number {
    return this.#due().length;
  }

  #due(): Deletion[] {
    const due: Deletion[] = [];
    for (const access of this.#options.orgs.all()) {
      const number = deletionUnderWay(access);
      const { org } = access.state;
      if (number !== undefined) due.push({ org, number });
    }
    return due;
  }

  /** True: nothing is under deletion. */
  async #clearAll(stopping: AbortSignal): Promise<boolean> {
    const due = this.#due();
    if (due.length === 0) return true;
    const lease = await this.#options.acquire();
    if (lease === undefined) return false;
    const leading = () => lease.valid() && !stopping.aborted;
    try {
      for (const deletion of due) await this.#settle(deletion, leading);
    } finally {
      await lease.release();
    }
    return false;
  }

  async #settle({ org, number }: Deletion, leading: () => boolean): Promise<void> {
    const { orgs, clear, service, log } = this.#options;
    const underWay = () => deletionUnderWay(orgs.get(org)) === number;
    try {
      if (!(await clear(org, number, () => underWay() && leading()))) return;
      await service.confirmCleared({ org, deletion: number });
      if (this.#confirmed.get(org) === number) return;
      this.#confirmed.set(org, number);
      log.info({ org, deletion: number }, 'agents and nodes of a deleted org are removed');
    } catch (error) {
      log.warn({ err: asFleetwireError(error), org }, 'the deletion of an org is held up; trying again');
    }
  }
}
