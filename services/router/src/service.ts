/** The wiring of the router, the only place that creates its things. */

import { claimLease } from '@fleetwire/broker';
import { LEASES_BUCKET, ROUTES_BUCKET } from '@fleetwire/contract';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import { bindService } from '@fleetwire/rpc';
import type { RunOptions, ServiceContext } from '@fleetwire/runtime';
import { defineService, runService } from '@fleetwire/runtime';
import { routerConfig } from './config.ts';
import { HouseRules } from './domain/house-rules.ts';
import type { FlowOptions } from './domain/partition-flow.ts';
import type { Names } from './domain/resolve.ts';
import { RoutingTable } from './domain/routing-table.ts';
import { Suggestions } from './domain/suggestions.ts';
import { askRegistry } from './handlers/ask-registry.ts';
import { DenialEvents } from './handlers/denial-events.ts';
import { explain } from './handlers/explain.ts';
import { FlushAnswers } from './handlers/flush-answers.ts';
import { IngressWatch } from './handlers/ingress-watch.ts';
import { NameLookup } from './handlers/name-lookup.ts';
import { PartitionShare } from './handlers/partition-share.ts';
import { PartitionWorker } from './handlers/partition-worker.ts';
import { PeerFrames } from './handlers/peer-frames.ts';
import { RoutesWatch } from './handlers/routes-watch.ts';
import { StrayDurables } from './handlers/stray-durables.ts';
import { checkPartitions } from './handlers/take-over.ts';
import type { FlowMetrics } from './metrics.ts';
import { flowMetrics, ingressMetrics, refusalMetrics, routesMetrics } from './metrics.ts';

const config = { router: routerConfig };
type Context = ServiceContext<typeof config>;

export const router = defineService({
  name: 'router',
  config,
  broker: {
    streams: ['INGRESS', 'INBOX', 'RECEIPTS', 'DEAD', 'EVENTS'],
    buckets: [ROUTES_BUCKET, LEASES_BUCKET],
  },
  async wire(context) {
    const { broker, log } = context;
    const { partitions } = context.fabric;
    const {
      share_interval_ms: intervalMs,
      suggest_scan: scan,
      suggest_per_second: perSecond,
    } = context.config.router;
    const table = new RoutingTable();
    const lookup = lookupOf(context);
    const routes = await routesOf(context, table, lookup);
    const bucket = await broker.bucket(LEASES_BUCKET);
    const leases = claimLease(bucket, context.instance);
    const names = { table, known: lookup.known.bind(lookup) };
    const suggest = new Suggestions(table, { scan, perSecond });
    const rules = rulesOf(context);
    const refusals = new Map<string, number>();
    const flow = { ...flowOf(context, names, suggest), rules, refusals };
    const frames = new PeerFrames({ broker, notices: rules.busy });
    const { clock } = context;
    const denials = new DenialEvents({ store: broker.store, clock, tally: rules.denials, log });
    const metrics = flowMetrics(context.meter, () => share.workers.map((worker) => worker.load));
    routesMetrics(context.meter, () => ({ agents: table.size, resyncs: routes.health()?.resyncs ?? 0 }));
    refusalMetrics(context.meter, () => ({ refusals, frames: frames.sent, denials: denials.figures }));
    const work = workOf(context, { leases, lookup, flow, metrics, routes, frames });
    const shared = { bucket, leases, instance: context.instance, partitions, intervalMs, work, log };
    const share: PartitionShare = new PartitionShare(shared);
    const watch = watchOf(context, frames);
    ingressMetrics(context.meter, () => watch.figures);
    const stray = new StrayDurables({
      consumers: broker.consumers,
      workers: () => share.workers,
      intervalMs: context.config.router.stray_durables_ms,
      log,
    });
    const check = {
      name: 'partitions of the fabric',
      start: () => checkPartitions(broker.consumers, partitions),
      stop: () => {},
    };
    const { instance } = context;
    const flushes = new FlushAnswers({
      broker,
      instance,
      table,
      caughtUp: (withinMs) => routes.caughtUp(withinMs),
      holds: (subject) => share.holds(subject),
      log,
    });
    return {
      rpc: [
        bindService(RouterServiceDefinition, {
          explain: explain({ names, lookup, suggest, clock, rules }),
        }),
      ],
      components: [routes, check, flushes, denials, share, watch, stray],
      health: () => ({ ...health(table, routes, share), ingress: watch.figures }),
      serving: () => share.workers.every((worker) => !worker.restarts.stuck),
    };
  },
});

/** Starts a router in this process; in its own process, `main.ts` does. */
export function start(options?: RunOptions) {
  return runService(router, options);
}

async function routesOf(context: Context, table: RoutingTable, lookup: NameLookup): Promise<RoutesWatch> {
  const { broker, clock, log } = context;
  const bucket = await broker.bucket(ROUTES_BUCKET);
  return new RoutesWatch({ bucket, clock, table, lookup, log });
}

function lookupOf(context: Context): NameLookup {
  const { router: set } = context.config;
  const { log } = context;
  const address = set.registry_address;
  const ask =
    address === undefined
      ? undefined
      : askRegistry(context.client(RegistryServiceDefinition, { address }), set.lookup_deadline_ms);
  return new NameLookup({
    ask,
    clock: context.clock,
    max: set.lookups_max,
    freshMs: set.lookup_fresh_ms,
    cacheMax: set.lookup_cache_max,
    pauseMs: set.lookup_pause_ms,
    onAway: (error) => log.warn({ reason: error.reason }, 'registry cannot be asked; the table decides'),
  });
}

function flowOf(context: Context, names: Names, suggest: Suggestions): Omit<FlowOptions, 'partition'> {
  return {
    router: context.instance,
    names,
    suggest,
    span: (traceparent, mail) =>
      context.tracer.hop('route', traceparent, () => ({
        'messaging.system': 'nats',
        'messaging.operation.type': 'process',
        'messaging.message.id': mail.header.id,
        'messaging.message.conversation_id': mail.header.correlationId,
        'messaging.destination.name': mail.slot.subject,
      })),
  };
}

function rulesOf(context: Context): HouseRules {
  const { router: set } = context.config;
  const { orgs } = context;
  const rate = (perSecond: number, burst: number) =>
    perSecond === 0 ? undefined : { tokens: perSecond, perMs: 1000, burst: burst === 0 ? perSecond : burst };
  return new HouseRules({
    access: (org) => orgs.get(org),
    rates: {
      node: rate(set.rate_node_per_s, set.rate_node_burst),
      org: rate(set.rate_org_per_s, set.rate_org_burst),
      bucketsMax: set.rate_buckets_max,
    },
    denialsEveryMs: set.denials_every_ms,
    inboxFullRetryMs: set.inbox_full_retry_ms,
  });
}

interface Workings {
  readonly leases: ReturnType<typeof claimLease>;
  readonly lookup: NameLookup;
  readonly flow: Omit<FlowOptions, 'partition'>;
  readonly metrics: FlowMetrics;
  readonly routes: RoutesWatch;
  readonly frames: PeerFrames;
}

function workOf(context: Context, { leases, lookup, flow, metrics, routes, frames }: Workings) {
  const { router: set } = context.config;
  const options = {
    broker: context.broker,
    leases,
    flow,
    lookup,
    frames,
    tableFresh: async () => {
      if (await routes.caughtUp(set.table_wait_ms)) return;
      context.log.warn('a partition is routed by a table that may be behind its bucket');
    },
    limits: {
      pullMessages: set.pull_messages,
      entriesMax: set.entries_max,
      bytesMax: set.bytes_max,
      publishesMax: Math.max(1, Math.floor(set.publishes_max / context.fabric.partitions)),
      retry: { initialMs: set.retry_initial_ms, maxMs: set.retry_max_ms },
      poisonTries: set.poison_tries,
      poisonWaitMs: set.poison_wait_ms,
      lagHighMs: set.lag_high_ms,
    },
    restart: { initialMs: set.restart_initial_ms, maxMs: set.restart_max_ms },
    drainMs: set.drain_ms,
    log: context.log,
    onEnd: metrics.ended,
  };
  return (partition: number) => new PartitionWorker(partition, options);
}

function watchOf({ broker, orgs, log, config: { router: set } }: Context, frames: PeerFrames): IngressWatch {
  return new IngressWatch({
    frames,
    broker,
    severalOrgs: () => hasSeveral(orgs.all()),
    watchPercent: set.ingress_watch_percent,
    orgPercent: set.ingress_org_percent,
    intervalMs: set.ingress_watch_ms,
    log,
  });
}

/** What is suspended or deleted sends nothing. */
function hasSeveral(orgs: ReturnType<Context['orgs']['all']>): boolean {
  let count = 0;
  for (const { status } of orgs) if (status === 'active' && ++count > 1) return true;
  return false;
}

function health(table: RoutingTable, routes: RoutesWatch, share: PartitionShare): Record<string, unknown> {
  const partitions = share.workers.map(({ partition, epoch, state, load, restarts }) => ({
    partition,
    epoch,
    state,
    restarts: restarts.inVain,
    stuck: restarts.stuck,
    ...load,
  }));
  const stuck = partitions.filter((each) => each.stuck).length;
  return { routes: table.size, ...table.counts, watch: routes.health(), stuck, partitions };
}
