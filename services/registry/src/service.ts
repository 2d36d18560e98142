/** The registry, wired here and nowhere else: nodes, agents, names, channels, the routing table. */

import { claimLease } from '@fleetwire/broker';
import { LEASES_BUCKET, ROUTES_BUCKET } from '@fleetwire/contract';
import { defineService, Rounds, type RunningService, type RunOptions, runService } from '@fleetwire/runtime';
import { registrySection } from './config.ts';
import { Departures } from './handlers/departures.ts';
import { tellPresenceIfPossible } from './handlers/node-news.ts';
import { Refusals } from './handlers/refusals.ts';
import { revoking } from './handlers/revoke-nodes.ts';
import { seenWriter } from './handlers/seen-writer.ts';
import { entities } from './store/entities.ts';
import { migrations } from './store/migrations.ts';
import { nodeKeys } from './store/node-keys.ts';
import { orgRows } from './store/orgs.ts';
import { accountKeys, accountsOf } from './wiring/accounts.ts';
import { config } from './wiring/context.ts';
import { clearingOf, upkeepOf } from './wiring/duties.ts';
import { beatsOf, partsOf } from './wiring/make-parts.ts';
import { bindRegistry } from './wiring/rpc.ts';

export { registrySection };

/** Between two looks at what of coming and going was held back. */
const LATE_MS = 1000;

export const registry = defineService({
  name: 'registry',
  config,
  store: { entities, migrations },
  broker: {
    streams: ['INBOX', 'RECEIPTS', 'DEAD', 'EVENTS', 'MESSAGES'],
    buckets: [ROUTES_BUCKET, LEASES_BUCKET],
  },
  async wire(context) {
    const { broker, store, orgs, log } = context;
    const keys = nodeKeys(store);
    const accounts = accountsOf(context, keys);
    const revoke = revoking({ keysDir: accountKeys(context), accounts, clock: context.clock, log });
    const settling = {
      keys,
      consumers: broker.consumers,
      revoke,
      max: context.config.registry.removed_keys_max,
      clock: context.clock,
    };
    const parts = await partsOf(context, accounts, settling);
    await parts.view.open();
    const { looking, heartbeats } = await beatsOf(context, parts);
    const leases = claimLease(await broker.bucket(LEASES_BUCKET), context.instance);
    const duties = { leases, orgRows: orgRows(store), revoke, settling };
    const clearing = clearingOf(context, parts, duties);
    const departures = new Departures(parts, orgs);
    const upkeep = upkeepOf(context, parts, duties);
    const seen = seenWriter({ ...parts, cameOnline: (nodes) => tellPresenceIfPossible(parts, nodes) });
    // Last out: what the others have to tell is still told, and what the heartbeats have noted is still written.
    const { announcer, presence, suspensions, view, moving } = parts;
    const work = () => presence.tellLate();
    const telling = new Rounds({ name: 'presence', intervalMs: LATE_MS, log, work });
    const atWork = [suspensions, heartbeats, departures, clearing, upkeep, moving.mover];
    const components = [announcer, telling, seen, view, looking, ...atWork];
    const refused = {
      joins: new Refusals({ ...parts, what: 'a join' }),
      hellos: new Refusals({ ...parts, what: 'a HELLO' }),
    };
    const health = () => ({
      partitions: parts.partitions,
      heartbeats_unanswered: heartbeats.unanswered,
      heartbeats_malformed: heartbeats.malformed,
      hellos_too_often: parts.hellos.refused,
      churn_refused: parts.churn.refused,
      hellos_refused: refused.hellos.figures,
      joins_refused: refused.joins.figures,
      events_dropped: announcer.dropped,
      upkeep: upkeep.holding,
      orgs_to_clear: clearing.open,
      routes: view.figures.entries,
      agents_in_memory: view.figures.rows,
      moves: moving.mover.state,
    });
    return { rpc: [bindRegistry(parts, refused)], components, health };
  },
});

/** Runs one replica. */
export function start(options?: RunOptions<typeof config>): Promise<RunningService> {
  return runService(registry, options);
}
