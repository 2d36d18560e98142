/** Follows suspended workspaces: their agents are marked, in PostgreSQL and in the routing table, until they work again. */

import type { OrgAccess } from '@fleetwire/access';
import { foldName, slices } from '@fleetwire/kernel';
import { type OrgDirectory, Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows } from '../store/agents.ts';
import type { SweepRows } from '../store/sweeps.ts';

export interface SuspensionsOptions {
  readonly orgs: Pick<OrgDirectory, 'get' | 'all' | 'onChange'>;
  readonly sweeps: Pick<SweepRows, 'suspend' | 'orgsWithSuspended'>;
  readonly agents: Pick<AgentRows, 'byIds'>;
  readonly routes: Pick<RouteTable, 'ensureMany'>;
  readonly log: Pick<Logger, 'warn' | 'info'>;
}

const RETRY = { initialMs: 200, maxMs: 10_000 } as const;
const IDLE_MS = 600_000;
const BATCH = 500;

/** Every replica does it: the one that changes a row writes its route. All of it can be repeated. */
export class Suspensions {
  readonly name = 'suspensions';
  readonly #o: SuspensionsOptions;
  readonly #rounds: Rounds;
  /** Orgs to look at; no more than there are. */
  readonly #due = new Set<string>();
  /** What was set of each org, so that its other changes cost nothing. */
  readonly #set = new Map<string, string>();
  #unfollow: () => void = () => undefined;
  #listed = false;

  constructor(options: SuspensionsOptions) {
    this.#o = options;
    const work = (stopping: AbortSignal) => this.#settleAll(stopping);
    this.#rounds = new Rounds({ name: this.name, intervalMs: IDLE_MS, log: options.log, work, retry: RETRY });
  }

  start(): void {
    this.#unfollow = this.#o.orgs.onChange((access) => this.#note(access));
    for (const access of this.#o.orgs.all()) this.#note(access);
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    await this.#rounds.stop();
  }

  /** Agents of these names are there now: were they registered while their workspace was being suspended? */
  registered(org: string, names: readonly string[]): void {
    const access = this.#o.orgs.get(org);
    if (!names.some((name) => access?.acceptsAgent(name) !== undefined)) return;
    this.#due.add(org);
    this.#rounds.kick();
  }

  #note(access: OrgAccess): void {
    const { org } = access.state;
    const names = suspendedNames(access).join();
    if (names === (this.#set.get(org) ?? '')) return;
    this.#due.add(org);
    this.#rounds.kick();
  }

  async #settleAll(stopping: AbortSignal): Promise<void> {
    // Those that this process knows nothing of: they were marked before it started.
    if (!this.#listed) for (const org of await this.#o.sweeps.orgsWithSuspended()) this.#due.add(org);
    this.#listed = true;
    for (const org of this.#due) {
      if (stopping.aborted) return;
      this.#due.delete(org);
      await this.#settle(org).catch((error: unknown) => {
        this.#due.add(org);
        throw error;
      });
    }
  }

  async #settle(org: string): Promise<void> {
    const { orgs, sweeps, agents, routes, log } = this.#o;
    const access = orgs.get(org);
    // Org has not published it yet: what was marked stays.
    if (access === undefined) return;
    const names = suspendedNames(access);
    const changed = await sweeps.suspend(org, names);
    for (const ids of slices(changed, BATCH)) await routes.ensureMany(await agents.byIds(ids));
    this.#set.set(org, names.join());
    if (changed.length > 0) log.info({ org, agents: changed.length }, 'suspended workspaces have changed');
  }
}

function suspendedNames({ state }: OrgAccess): string[] {
  const names = state.assignments.filter(({ suspended }) => suspended).map(({ agent }) => foldName(agent));
  return names.toSorted((a, b) => (a < b ? -1 : 1));
}
