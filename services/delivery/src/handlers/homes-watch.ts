/** Keeps `Homes` in step with the routing table, and asks the registry for what that does not say. */

import type { Bucket, BucketWatch, WatchEntry } from '@fleetwire/broker';
import { isSubjectToken, parseRouteKey, routeKey } from '@fleetwire/contract';
import { Route } from '@fleetwire/gen/message';
import type { AgentHomesRequest, AgentHomesResponse } from '@fleetwire/gen/registry';
import type { Clock } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Homes } from '../domain/homes.ts';
import type { HomesOf } from '../domain/verdict.ts';

export interface HomesWatchOptions {
  readonly bucket: Bucket;
  readonly homes: Homes;
  readonly clock: Pick<Clock, 'nowUs'>;
  readonly log: Logger;
}

export class HomesWatch {
  readonly name = 'homes watch';
  readonly #o: HomesWatchOptions;
  #watch: BucketWatch | undefined;

  constructor(options: HomesWatchOptions) {
    this.#o = options;
  }

  /** Resolves when all that was in the bucket is known. */
  async start(): Promise<void> {
    const read = Promise.withResolvers<void>();
    const onEntry = (entry: WatchEntry) => this.#apply(entry);
    this.#watch = await this.#o.bucket.watch(onEntry, read.resolve, { onClosed: read.reject });
    await read.promise;
  }

  stop(): void {
    this.#watch?.stop();
  }

  #apply({ key, value, storedAtUs }: WatchEntry): void {
    const parsed = parseRouteKey(key);
    const { homes, clock, log } = this.#o;
    if (parsed?.kind === 'node') homes.nodeIs(parsed.id, value !== undefined);
    if (parsed?.kind !== 'agent') return;
    const { org, id } = parsed;
    // Of what only its absence shows, the moment is this one at the latest.
    const atUs = storedAtUs || clock.nowUs();
    try {
      const { node, movingFrom } = value === undefined ? NO_ROUTE : Route.decode(value);
      if (node === '') homes.gone(org, id, atUs);
      else homes.lives(org, id, node, movingFrom, atUs);
    } catch {
      log.error({ key }, 'a route in the bucket cannot be read');
    }
  }
}

const NO_ROUTE = { node: '', movingFrom: '' };

/** Of agents of one org, from the registry, each of them. Rejects while it is away. */
export type AskHomes = (org: string, agents: readonly string[]) => Promise<ReadonlyMap<string, HomesOf>>;

/** Agents of one question. */
export const HOMES_ASKED_MAX = 1000;
export const NO_HOMES: HomesOf = { current: [], former: [] };

export function askHomes(
  registry: { agentHomes(request: AgentHomesRequest, o: object): Promise<AgentHomesResponse> },
  deadlineMs: number,
): AskHomes {
  return async (org, agents) => {
    const { homes } = await registry.agentHomes({ org, agents: [...agents] }, { deadlineMs });
    const found = new Map<string, HomesOf>(agents.map((agent) => [agent, NO_HOMES]));
    for (const { agent, nodes, former } of homes) {
      const left = former.map(({ node, leftAtMs }) => ({ node, leftAtUs: leftAtMs * 1000 }));
      found.set(agent, { current: nodes, former: left });
    }
    return found;
  };
}

/** As `AskHomes`, by the routing table alone: it does not say where agents have lived. */
export function readHomes(bucket: Pick<Bucket, 'get'>): AskHomes {
  return async (org, agents) => {
    const found = new Map<string, HomesOf>();
    for (const agent of agents) {
      const entry = isSubjectToken(agent) ? await bucket.get(routeKey(org, agent)) : undefined;
      const { node, movingFrom } = entry === undefined ? NO_ROUTE : Route.decode(entry.value);
      found.set(agent, { current: [node, movingFrom].filter((id) => id !== ''), former: [] });
    }
    return found;
  };
}
