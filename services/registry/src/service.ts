/** The wiring of the registry: nodes, agents, names, the routing table. */

import { randomBytes } from 'node:crypto';
import { claimLease, type LeaseClaims } from '@fleetwire/broker';
import { keysFolder } from '@fleetwire/config';
import { LEASE_KEYS, LEASES_BUCKET, ROUTES_BUCKET } from '@fleetwire/contract';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { publishedKeys } from '@fleetwire/identity';
import { FleetwireError, nowMs, systemRandom } from '@fleetwire/kernel';
import { bindService, callerOf } from '@fleetwire/rpc';
import {
  defineService,
  OrgAccounts,
  type RunningService,
  type RunOptions,
  readFabricRecord,
  runService,
  type ServiceContext,
} from '@fleetwire/runtime';
import { registrySection } from './config.ts';
import { LastSeen } from './domain/liveness.ts';
import { Announcer } from './handlers/announcer.ts';
import { createChannel, deleteChannel } from './handlers/channels/create-channel.ts';
import { listChannelMembers, listChannels } from './handlers/channels/list-channels.ts';
import { joinChannel, leaveChannel } from './handlers/channels/membership.ts';
import { CLEAR_BATCH, clearOrg } from './handlers/clear-org.ts';
import { minting } from './handlers/credentials.ts';
import { deregisterAgent } from './handlers/deregister-agent.ts';
import { listAgents, lookupAgent } from './handlers/find-agents.ts';
import { Heartbeats } from './handlers/heartbeat.ts';
import { challenge, hello } from './handlers/hello.ts';
import { join } from './handlers/join.ts';
import { KnownNodes } from './handlers/known-nodes.ts';
import { listNodes } from './handlers/list-nodes.ts';
import { openInbox } from './handlers/open-inbox.ts';
import { OrgClearing } from './handlers/org-clearing.ts';
import type { RegistryParts } from './handlers/parts.ts';
import { registerAgent } from './handlers/register-agent.ts';
import { renameAgent } from './handlers/rename-agent.ts';
import { forgetReopened, revoking } from './handlers/revoke-nodes.ts';
import { SeenWriter } from './handlers/seen-writer.ts';
import { StaleSweep } from './handlers/stale-sweep.ts';
import { Suspensions } from './handlers/suspensions.ts';
import { sync } from './handlers/sync.ts';
import { syncRoster } from './handlers/sync-roster.ts';
import { Upkeep } from './handlers/upkeep.ts';
import { UsageReport } from './handlers/usage-report.ts';
import { ChannelWriter } from './routing/channel-writer.ts';
import { reconcile } from './routing/reconcile.ts';
import { RouteTable } from './routing/route-table.ts';
import { WatchedRoutes } from './routing/watched-routes.ts';
import { agentRows } from './store/agents.ts';
import { channelRows } from './store/channels.ts';
import { entities } from './store/entities.ts';
import { migrations } from './store/migrations.ts';
import { nodeRows } from './store/nodes.ts';
import { type OrgRows, orgRows } from './store/orgs.ts';
import { rosterRows } from './store/roster.ts';
import { sweepRows } from './store/sweeps.ts';

export { registrySection };

const config = { registry: registrySection };
type Context = ServiceContext<typeof config>;

export const registry = defineService({
  name: 'registry',
  config,
  store: { entities, migrations },
  broker: { streams: ['INBOX', 'EVENTS'], buckets: [ROUTES_BUCKET, LEASES_BUCKET] },
  async wire(context) {
    const accounts = accountsOf(context);
    const parts = await partsOf(context, accounts);
    await parts.view.open();
    const known = knownNodes(parts);
    const heartbeats = new Heartbeats({ ...parts, known, broker: context.broker });
    const duties = {
      leases: claimLease(await context.broker.bucket(LEASES_BUCKET), context.instance),
      orgRows: orgRows(context.store),
    };
    const clearing = clearingOf(context, parts, duties, accounts);
    const upkeep = upkeepOf(context, parts, duties);
    // Last out: what the heartbeats have noted is still written.
    const announcing = { name: 'announcer', start: () => undefined, stop: () => parts.announcer.stop() };
    const components = [
      new SeenWriter(parts),
      announcing,
      parts.view,
      suspensionsOf(context, parts),
      heartbeats,
      clearing,
      upkeep,
    ];
    const health = () => ({
      partitions: parts.partitions,
      heartbeats_unanswered: heartbeats.unanswered,
      upkeep: upkeep.holding,
      orgs_to_clear: clearing.open,
      routes: parts.view.figures.entries,
      agents_in_memory: parts.view.figures.rows,
    });
    return { rpc: [bindRegistry(parts)], components, health };
  },
});

/** Runs one replica. */
export function start(options?: RunOptions<typeof config>): Promise<RunningService> {
  return runService(registry, options);
}

async function partsOf(context: Context, accounts: OrgAccounts): Promise<RegistryParts> {
  const { broker, store, clock, log, tokens } = context;
  const set = context.config.registry;
  const nodes = nodeRows(store);
  const urls = set.node_nats_urls || context.config.nats.url;
  return {
    nodes,
    ...(await tablesOf(context)),
    announcer: new Announcer({ publish: publisherOf(broker), clock, log }),
    broker,
    lastSeen: new LastSeen(),
    org: context.client(OrgServiceDefinition, { address: set.org_address }),
    orgs: context.orgs,
    consumers: broker.consumers,
    mint: minting({
      keysDir: accountKeys(context),
      accounts,
      lifetimeMs: set.credentials_ttl_s * 1000,
      clock,
      log,
    }),
    tokens,
    clock,
    random: systemRandom,
    log,
    config: set,
    partitions: (await readFabricRecord(broker)).partitions,
    secret: await nodes.secret('challenge', randomBytes(32)),
    natsUrls: urls.split(',').map((url) => url.trim()),
    jwks: () => JSON.stringify(publishedKeys(context.trust, nowMs(clock))),
  };
}

/** Agents, channels and the routing table, in PostgreSQL, in the bucket and in memory. */
async function tablesOf({ store, broker, clock, log, config: { registry: set } }: Context) {
  const agents = agentRows(store);
  const channels = channelRows(store);
  const bucket = await broker.bucket(ROUTES_BUCKET);
  const view = new WatchedRoutes({
    bucket,
    agents,
    clock,
    log,
    rowsMax: set.rows_remembered_max,
    changesMax: set.sync_changes_max,
    markersKeepMs: set.markers_keep_ms,
  });
  const onTouched = (key: string) => view.distrust(key);
  const routes = new RouteTable({ bucket, onTouched, channels: new ChannelWriter(channels) });
  return { agents, roster: rosterRows(store), channels, routes, view };
}

function publisherOf(broker: Context['broker']): Context['broker']['store'] {
  return (subject, payload, o) => broker.store(subject, payload, o);
}

function suspensionsOf({ store, orgs, log }: Context, { agents, routes }: RegistryParts): Suspensions {
  return new Suspensions({ orgs, sweeps: sweepRows(store), agents, routes, log });
}

/** Undefined: the server keeps no accounts. */
function accountKeys({ config: { nats, common, keys } }: Context): string | undefined {
  return nats.single_tenant ? undefined : keysFolder({ common, keys });
}

function accountsOf({ broker, orgs, config: { nats, common, keys } }: Context): OrgAccounts {
  const natsUrls = nats.url.split(',').map((url) => url.trim());
  const accounts = new OrgAccounts({ keysDir: keysFolder({ common, keys }), natsUrls });
  broker.onGeneration(() => accounts.forget());
  forgetReopened(orgs, accounts);
  return accounts;
}

function knownNodes(parts: RegistryParts): KnownNodes {
  const { known_nodes_max: max, known_fresh_ms: freshMs } = parts.config;
  return new KnownNodes({ load: (id) => parts.nodes.byId(id), clock: parts.clock, max, freshMs });
}

/** What only one replica does at a time is made of. */
interface Duties {
  readonly leases: LeaseClaims;
  readonly orgRows: OrgRows;
}

function clearingOf(
  context: Context,
  parts: RegistryParts,
  duties: Duties,
  accounts: OrgAccounts,
): OrgClearing {
  const { orgs, log } = context;
  const { consumers } = context.broker;
  const { agents, channels, routes } = parts;
  const revoke = revoking({ keysDir: accountKeys(context), accounts, log });
  const clearable = { orgs: duties.orgRows, agents, channels, routes, revoke, consumers, batch: CLEAR_BATCH };
  return new OrgClearing({
    orgs,
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry-orgs')),
    clear: (org, deletion, mayGoOn) => clearOrg(clearable, org, deletion, mayGoOn),
    service: parts.org,
    log,
  });
}

function upkeepOf({ broker, store }: Context, parts: RegistryParts, duties: Duties): Upkeep {
  const publish = publisherOf(broker);
  const { channels, clock, config, routes } = parts;
  const stale = new StaleSweep({ ...parts, sweeps: sweepRows(store) });
  broker.onDisconnect(() => stale.forget());
  const markersUntilUs = () => clock.nowUs() - config.markers_keep_ms * 1000;
  const usage = new UsageReport({ orgs: duties.orgRows, publish, clock: parts.clock });
  const upkeep = new Upkeep({
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry')),
    reconcile: (over) => reconcile({ ...parts, markersUntilUs }, over),
    sweep: () => parts.nodes.sweep(nowMs(parts.clock) - parts.config.liveness_ms),
    sweepStale: (mayGoOn) => stale.run(mayGoOn),
    mendChannels: async () => routes.ensureChannels(await channels.unwritten(MENDED_AT_ONCE)),
    usage: (over) => usage.run(over),
    clock: parts.clock,
    log: parts.log,
    config: parts.config,
  });
  broker.onGeneration(() => upkeep.reconcileSoon());
  return upkeep;
}

/** Channels whose routes one turn of the upkeep writes. */
const MENDED_AT_ONCE = 100;

const later = async (): Promise<never> => {
  throw new FleetwireError('unimplemented', 'NOT_HERE', 'this call is to come');
};

function bindRegistry(parts: RegistryParts) {
  return bindService(
    RegistryServiceDefinition,
    {
      join: (request) => join(parts, request),
      challenge: async (request) => challenge(parts, request),
      hello: (request) => hello(parts, request),
      openInbox: (_request, call) => openInbox(parts, callerOf(call)),
      registerAgent: (request, call) => registerAgent(parts, request, callerOf(call)),
      deregisterAgent: (request, call) => deregisterAgent(parts, request, callerOf(call)),
      lookupAgent: (request, call) => lookupAgent(parts, request, callerOf(call)),
      listAgents: (request, call) => listAgents(parts, request, callerOf(call)),
      listNodes: (request, call) => listNodes(parts, request, callerOf(call)),
      rotateKey: later,
      syncRoster: (request, call) => syncRoster(parts, request, callerOf(call)),
      renameAgent: (request, call) => renameAgent(parts, request, callerOf(call)),
      moveAgent: later,
      handOver: later,
      drainNode: later,
      removeNode: later,
      requestKeyRotation: later,
      adoptNode: later,
      createChannel: (request, call) => createChannel(parts, request, callerOf(call)),
      deleteChannel: (request, call) => deleteChannel(parts, request, callerOf(call)),
      joinChannel: (request, call) => joinChannel(parts, request, callerOf(call)),
      leaveChannel: (request, call) => leaveChannel(parts, request, callerOf(call)),
      listChannels: (request, call) => listChannels(parts, request, callerOf(call)),
      listChannelMembers: (request, call) => listChannelMembers(parts, request, callerOf(call)),
      sync: (request, call) => sync(parts, request, callerOf(call)),
    },
    { auth: { join: 'none', challenge: 'none', hello: 'none' } },
  );
}
