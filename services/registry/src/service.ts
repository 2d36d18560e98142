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
import { Allowance } from './domain/allowance.ts';
import { UsedNonces } from './domain/challenge.ts';
import { LastSeen } from './domain/liveness.ts';
import { Announcer } from './handlers/announcer.ts';
import { answerHeartbeat } from './handlers/answer-heartbeat.ts';
import { CLEAR_BATCH, clearOrg } from './handlers/clear-org.ts';
import { minting } from './handlers/credentials.ts';
import { Departures } from './handlers/departures.ts';
import { deregisterAgent } from './handlers/deregister-agent.ts';
import { listAgents, lookupAgent } from './handlers/find-agents.ts';
import { Heartbeats } from './handlers/heartbeat.ts';
import { challenge, hello } from './handlers/hello.ts';
import { hubKeys } from './handlers/hub-keys.ts';
import { join } from './handlers/join.ts';
import { KnownNodes } from './handlers/known-nodes.ts';
import { listNodes } from './handlers/list-nodes.ts';
import { adoptNode, drainNode, removeNode, requestKeyRotation } from './handlers/node-admin.ts';
import { NodeLoads } from './handlers/node-loads.ts';
import { NodeLook } from './handlers/node-look.ts';
import { tellPresenceIfPossible } from './handlers/node-news.ts';
import { nudge } from './handlers/nudge.ts';
import { openInbox } from './handlers/open-inbox.ts';
import { OrgClearing } from './handlers/org-clearing.ts';
import type { RegistryParts } from './handlers/parts.ts';
import { registerAgent } from './handlers/register-agent.ts';
import { forgetReopened, type RevokeNodes, revoking } from './handlers/revoke-nodes.ts';
import { Rosters } from './handlers/rosters.ts';
import { rotateKey } from './handlers/rotate-key.ts';
import { SeenWriter } from './handlers/seen-writer.ts';
import { type SettleParts, settleKeys, tellAllKeys } from './handlers/settle-keys.ts';
import { Upkeep } from './handlers/upkeep.ts';
import { UsageReport } from './handlers/usage-report.ts';
import { NodeRoutes, reconcileNodes, removeGoneNodes } from './routing/node-routes.ts';
import { reconcile } from './routing/reconcile.ts';
import { RouteTable } from './routing/route-table.ts';
import { agentRows } from './store/agents.ts';
import { entities } from './store/entities.ts';
import { migrations } from './store/migrations.ts';
import { type NodeKeys, nodeKeys } from './store/node-keys.ts';
import { nodeState } from './store/node-state.ts';
import { nodeRows } from './store/nodes.ts';
import { type OrgRows, orgRows } from './store/orgs.ts';

export { registrySection };

const config = { registry: registrySection };
type Context = ServiceContext<typeof config>;

export const registry = defineService({
  name: 'registry',
  config,
  store: { entities, migrations },
  broker: { streams: ['INBOX', 'EVENTS'], buckets: [ROUTES_BUCKET, LEASES_BUCKET] },
  async wire(context) {
    const keys = nodeKeys(context.store);
    const accounts = accountsOf(context, keys);
    const revoke = revoking({ keysDir: accountKeys(context), accounts, log: context.log });
    const settling = settlingOf(context, keys, revoke);
    const parts = await partsOf(context, accounts, settling);
    const { look, heartbeats } = await beatsOf(context, parts);
    const duties = {
      leases: claimLease(await context.broker.bucket(LEASES_BUCKET), context.instance),
      orgRows: orgRows(context.store),
    };
    const clearing = clearingOf(context, parts, duties, revoke);
    const departures = new Departures(parts, context.orgs);
    const upkeep = upkeepOf(context, parts, duties, settling, departures);
    const seen = new SeenWriter({ ...parts, cameOnline: (nodes) => tellPresenceIfPossible(parts, nodes) });
    // Last out: what the others have to tell is still told, and what the heartbeats have noted is still written.
    const { announcer } = parts;
    const components = [announcer, seen, look, heartbeats, departures, clearing, upkeep];
    const health = () => ({
      partitions: parts.partitions,
      heartbeats_unanswered: heartbeats.unanswered,
      heartbeats_malformed: heartbeats.malformed,
      hellos_too_often: parts.hellos.refused,
      events_dropped: announcer.dropped,
      upkeep: upkeep.holding,
      orgs_to_clear: clearing.open,
    });
    return { rpc: [bindRegistry(parts)], components, health };
  },
});

/** Runs one replica. */
export function start(options?: RunOptions<typeof config>): Promise<RunningService> {
  return runService(registry, options);
}

/** What was written before this replica came is known when this resolves. */
async function beatsOf({ broker, config: { registry: set } }: Context, parts: RegistryParts) {
  const { clock, log, nodeRoutes, nodeState: state, known, lastSeen } = parts;
  const max = set.known_nodes_max;
  const rosters = new Rosters({ state, max });
  const loads = new NodeLoads({ nodeRoutes, clock, log, everyMs: set.load_ms, max });
  const look = new NodeLook({ state, lastSeen, known, rosters, clock, log, lookMs: set.look_ms });
  await look.once();
  const answering = { ...parts, look, rosters, loads };
  const heartbeats = new Heartbeats({
    answer: (beat, from) => answerHeartbeat(answering, beat, from),
    broker,
    clock,
    log,
    config: set,
  });
  return { look, heartbeats };
}

async function partsOf(
  context: Context,
  accounts: OrgAccounts,
  settling: SettleParts & { readonly keys: NodeKeys },
): Promise<RegistryParts> {
  const { broker, store, clock, log, tokens } = context;
  const set = context.config.registry;
  const nodes = nodeRows(store);
  const urls = set.node_nats_urls || context.config.nats.url;
  const routing = await broker.bucket(ROUTES_BUCKET);
  const publish: typeof broker.store = (subject, payload, o) => broker.store(subject, payload, o);
  const { common, keys } = context.config;
  return {
    nodes,
    nodeState: nodeState(store),
    nodeKeys: settling.keys,
    nodeRoutes: new NodeRoutes(routing),
    known: new KnownNodes({
      load: (id) => nodes.byId(id),
      clock,
      max: set.known_nodes_max,
      freshMs: set.known_fresh_ms,
    }),
    nonces: new UsedNonces(set.nonces_max),
    hellos: new Allowance({
      burst: set.hellos_burst,
      everyMs: set.hellos_every_ms,
      max: set.known_nodes_max,
    }),
    hub: hubKeys(keysFolder({ common, keys })),
    announcer: new Announcer({ publish, clock, log, max: set.events_waiting_max }),
    nudge: nudging(broker, set.look_ms),
    settleKeys: (org) => settleKeys(settling, org),
    agents: agentRows(store),
    routes: new RouteTable(routing),
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

/** Undefined: the server keeps no accounts. */
function accountKeys({ config: { nats, common, keys } }: Context): string | undefined {
  return nats.single_tenant ? undefined : keysFolder({ common, keys });
}

function accountsOf({ broker, orgs, config }: Context, removed: NodeKeys): OrgAccounts {
  const { nats, common, keys, registry: set } = config;
  const natsUrls = nats.url.split(',').map((url) => url.trim());
  const revoked = (org: string) => removed.revocations(org, set.removed_keys_max);
  const accounts = new OrgAccounts({ keysDir: keysFolder({ common, keys }), natsUrls, revoked });
  broker.onGeneration(() => accounts.forget());
  forgetReopened(orgs, accounts);
  return accounts;
}

function settlingOf(
  { broker, config }: Context,
  keys: NodeKeys,
  revoke: RevokeNodes,
): SettleParts & { readonly keys: NodeKeys } {
  return { keys, consumers: broker.consumers, revoke, max: config.registry.removed_keys_max };
}

/** Twice: at once, and when the other replicas have looked at what has changed. */
function nudging(broker: Context['broker'], lookMs: number): RegistryParts['nudge'] {
  return (org, node, why) => {
    nudge(broker, org, node, why);
    setTimeout(() => nudge(broker, org, node, why), 2 * lookMs).unref();
  };
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
  revoke: RevokeNodes,
): OrgClearing {
  const { orgs, log } = context;
  const { consumers } = context.broker;
  const { agents, routes } = parts;
  const removeNodeRoutes = (keys: readonly string[]) => removeGoneNodes(parts, keys);
  const batch = CLEAR_BATCH;
  const clearable = { orgs: duties.orgRows, agents, routes, revoke, consumers, batch, removeNodeRoutes };
  return new OrgClearing({
    orgs,
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry-orgs')),
    clear: (org, deletion, mayGoOn) => clearOrg(clearable, org, deletion, mayGoOn),
    service: parts.org,
    log,
  });
}

/** Nodes that one sweep shows offline; more are seen to by the next. */
const SWEEP_ROWS = 1000;

function upkeepOf(
  { broker }: Context,
  parts: RegistryParts,
  duties: Duties,
  settling: SettleParts & { readonly keys: NodeKeys },
  departures: Departures,
): Upkeep {
  const { clock, config, log } = parts;
  const publish: typeof broker.store = (subject, payload, o) => broker.store(subject, payload, o);
  const usage = new UsageReport({ orgs: duties.orgRows, publish, clock });
  // Servers that were away may come back with an older memory.
  let keysTold = false;
  const upkeep = new Upkeep({
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry')),
    reconcile: (over) => reconcile(parts, over),
    sweep: async () => {
      const gone = await parts.nodes.sweep(nowMs(clock) - config.liveness_ms, SWEEP_ROWS);
      await tellPresenceIfPossible(parts, gone);
      return gone.map(({ name }) => name);
    },
    keys: async () => {
      departures.again();
      await settling.keys.retire(nowMs(clock), SWEEP_ROWS);
      await settleKeys(settling);
    },
    reconcileNodes: async (over) => {
      const { put, removed } = await reconcileNodes(parts, over);
      if (put > 0 || removed > 0) log.info({ put, removed }, 'entries of nodes were corrected');
      if (!keysTold) await tellAllKeys(settling, over);
      keysTold = !over.aborted;
    },
    usage: (over) => usage.run(over),
    clock,
    log,
    config,
  });
  broker.onGeneration(() => {
    keysTold = false;
    upkeep.reconcileSoon();
  });
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
      rotateKey: (request, call) => rotateKey(parts, request, callerOf(call)),
      syncRoster: later,
      renameAgent: later,
      moveAgent: later,
      handOver: later,
      drainNode: (request, call) => drainNode(parts, request, callerOf(call)),
      removeNode: (request, call) => removeNode(parts, request, callerOf(call)),
      requestKeyRotation: (request, call) => requestKeyRotation(parts, request, callerOf(call)),
      adoptNode: (request, call) => adoptNode(parts, request, callerOf(call)),
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
