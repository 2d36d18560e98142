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
import { forgetReopened, revoking } from './handlers/revoke-nodes.ts';
import { SeenWriter } from './handlers/seen-writer.ts';
import { Upkeep } from './handlers/upkeep.ts';
import { UsageReport } from './handlers/usage-report.ts';
import { handOver } from './moving/hand-over.ts';
import { moveAgent } from './moving/move-agent.ts';
import { movingDesk } from './moving/moving-part.ts';
import { reconcile } from './routing/reconcile.ts';
import { RouteTable } from './routing/route-table.ts';
import { agentRows } from './store/agents.ts';
import { entities } from './store/entities.ts';
import { migrations } from './store/migrations.ts';
import { nodeRows } from './store/nodes.ts';
import { type OrgRows, orgRows } from './store/orgs.ts';

export { registrySection };

const config = { registry: registrySection };
type Context = ServiceContext<typeof config>;

export const registry = defineService({
  name: 'registry',
  config,
  store: { entities, migrations },
  broker: { streams: ['INBOX', 'RECEIPTS', 'DEAD', 'EVENTS'], buckets: [ROUTES_BUCKET, LEASES_BUCKET] },
  async wire(context) {
    const accounts = accountsOf(context);
    const parts = await partsOf(context, accounts);
    const known = knownNodes(parts);
    const heartbeats = new Heartbeats({ ...parts, known, broker: context.broker });
    const duties = {
      leases: claimLease(await context.broker.bucket(LEASES_BUCKET), context.instance),
      orgRows: orgRows(context.store),
    };
    const clearing = clearingOf(context, parts, duties, accounts);
    const upkeep = upkeepOf(context, parts, duties);
    // Last out: what the heartbeats have noted is still written.
    const components = [new SeenWriter(parts), heartbeats, clearing, upkeep, parts.moving.mover];
    const health = () => ({
      partitions: parts.partitions,
      heartbeats_unanswered: heartbeats.unanswered,
      upkeep: upkeep.holding,
      orgs_to_clear: clearing.open,
      moves: parts.moving.mover.state,
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
  const agents = agentRows(store);
  const routes = new RouteTable(await broker.bucket(ROUTES_BUCKET));
  const lastSeen = new LastSeen();
  const shared = { broker, store, agents, routes, lastSeen, clock, log, config: set };
  return {
    nodes,
    agents,
    routes,
    lastSeen,
    moving: await movingDesk({ ...shared, instance: context.instance }),
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
  const { agents, routes } = parts;
  const revoke = revoking({ keysDir: accountKeys(context), accounts, log });
  const clearable = { orgs: duties.orgRows, agents, routes, revoke, consumers, batch: CLEAR_BATCH };
  return new OrgClearing({
    orgs,
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry-orgs')),
    clear: (org, deletion, mayGoOn) => clearOrg(clearable, org, deletion, mayGoOn),
    service: parts.org,
    log,
  });
}

function upkeepOf({ broker }: Context, parts: RegistryParts, duties: Duties): Upkeep {
  const publish: typeof broker.store = (subject, payload, o) => broker.store(subject, payload, o);
  const usage = new UsageReport({ orgs: duties.orgRows, publish, clock: parts.clock });
  const upkeep = new Upkeep({
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry')),
    reconcile: (over) => reconcile(parts, over),
    sweep: () => parts.nodes.sweep(nowMs(parts.clock) - parts.config.liveness_ms),
    usage: (over) => usage.run(over),
    clock: parts.clock,
    log: parts.log,
    config: parts.config,
  });
  broker.onGeneration(() => upkeep.reconcileSoon());
  return upkeep;
}

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
      syncRoster: later,
      renameAgent: later,
      moveAgent: (request, call) => moveAgent(parts, request, callerOf(call)),
      handOver: (request, call) => handOver(parts, request, callerOf(call)),
      drainNode: later,
      removeNode: later,
      requestKeyRotation: later,
      adoptNode: later,
      createChannel: later,
      deleteChannel: later,
      joinChannel: later,
      leaveChannel: later,
      listChannels: later,
      listChannelMembers: later,
      sync: later,
    },
    { auth: { join: 'none', challenge: 'none', hello: 'none' } },
  );
}
