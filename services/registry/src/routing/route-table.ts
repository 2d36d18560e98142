/** Writes the routing table: one entry for each agent in a key-value bucket that routers and nodes watch. */

import type { Bucket, WatchEntry } from '@fleetwire/broker';
import { routeKey } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Route } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import { type PresentRoute, sameRoute } from '../domain/route-diff.ts';
import type { PlacedAgent } from '../store/agents.ts';

/** Somebody else's write between our reading and our writing; more than a few in a row do not happen. */
const TRIES = 8;
const RACES = ['KEY_EXISTS', 'REVISION_CONFLICT', 'PUBLISH_IN_DOUBT'];

export class RouteTable {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** Resolves when the table has the agent's route, or a later one. */
  ensure(agent: PlacedAgent): Promise<void> {
    return this.ensureRoute(routeKey(agent.org, agent.id), routeOf(agent));
  }

  async ensureRoute(key: string, route: Route): Promise<void> {
    const bytes = encode(Route, route);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const entry = await this.#bucket.get(key);
      const there = entry && decodeRoute(entry.value);
      if (there && (there.epoch > route.epoch || sameRoute(there, route))) return;
      try {
        if (entry) await this.#bucket.update(key, bytes, entry.revision);
        else await this.#bucket.create(key, bytes);
        return;
      } catch (error) {
        if (!isRace(error)) throw error;
      }
    }
    throw new FleetwireError('aborted', 'ROUTE_CONTENDED', 'the route is being written by others', {
      retryAfterMs: 100,
    });
  }

  /** Idempotent. */
  remove(org: string, agent: string): Promise<void> {
    return this.removeKey(routeKey(org, agent));
  }

  async removeKey(key: string): Promise<void> {
    if (await this.#bucket.get(key)) await this.#bucket.delete(key);
  }

  /** Keys of the routes of an org. */
  keysOf(org: string): Promise<string[]> {
    return this.#bucket.keys(routeKey(org, '*'));
  }

  /** All entries there are at this moment; rejects when `over` aborts first. */
  async readAll(over: AbortSignal): Promise<Map<string, PresentRoute>> {
    const found = new Map<string, PresentRoute>();
    const read = Promise.withResolvers<void>();
    const giveUp = () => read.reject(over.reason);
    const onEntry = ({ key, value, revision }: WatchEntry) => {
      if (value === undefined) found.delete(key);
      else found.set(key, { route: decodeRoute(value), revision });
    };
    over.throwIfAborted();
    over.addEventListener('abort', giveUp);
    const watch = await this.#bucket.watch(onEntry, read.resolve, { onClosed: read.reject });
    try {
      await read.promise;
    } finally {
      over.removeEventListener('abort', giveUp);
      watch.stop();
    }
    return found;
  }
}

export function routeOf(agent: PlacedAgent): Route {
  return Route.fromPartial({
    agent: agent.id,
    name: agent.name,
    node: agent.node,
    nodeName: agent.nodeName,
    epoch: agent.epoch,
    shard: agent.shard,
    movingFrom: agent.movingFrom,
  });
}

function decodeRoute(bytes: Uint8Array): Route | undefined {
  try {
    return Route.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Somebody else wrote, or it is not known whether we did: look again. */
function isRace(error: unknown): boolean {
  return error instanceof FleetwireError && RACES.includes(error.reason);
}
