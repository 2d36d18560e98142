/** Makes what the handlers are made of. */

import { keysFolder } from '@fleetwire/config';
import { ROUTES_BUCKET } from '@fleetwire/contract';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { publishedKeys } from '@fleetwire/identity';
import { nowMs, systemRandom } from '@fleetwire/kernel';
import { type OrgAccounts, Rounds, readFabricRecord } from '@fleetwire/runtime';
import { keptSecret } from '@fleetwire/store';
import { Allowance } from '../domain/allowance.ts';
import { Churn } from '../domain/churn.ts';
import { WATCH_LIVENESSES } from '../domain/identity-holder.ts';
import { LastSeen } from '../domain/liveness.ts';
import { Silence } from '../domain/silence.ts';
import { Announcer } from '../handlers/announcer.ts';
import { answerHeartbeat } from '../handlers/answer-heartbeat.ts';
import { minting, mintingSubscribers } from '../handlers/credentials.ts';
import { DenialNews } from '../handlers/denial-news.ts';
import { Heartbeats } from '../handlers/heartbeat.ts';
import { hubKeys } from '../handlers/hub-keys.ts';
import { KnownNodes } from '../handlers/known-nodes.ts';
import { NodeLoads } from '../handlers/node-loads.ts';
import { NodeLook } from '../handlers/node-look.ts';
import { nudge } from '../handlers/nudge.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import { PresenceNews } from '../handlers/presence-news.ts';
import { RosterTurns } from '../handlers/roster-turns.ts';
import { Rosters } from '../handlers/rosters.ts';
import { type SettleParts, settleKeys } from '../handlers/settle-keys.ts';
import { Suspensions } from '../handlers/suspensions.ts';
import { movingDesk } from '../moving/moving-part.ts';
import { ChannelWriter } from '../routing/channel-writer.ts';
import { NodeRoutes } from '../routing/node-routes.ts';
import { removeGone } from '../routing/remove-gone.ts';
import { RouteTable } from '../routing/route-table.ts';
import { WatchedRoutes } from '../routing/watched-routes.ts';
import { agentRows } from '../store/agents.ts';
import { channelRows } from '../store/channels.ts';
import type { NodeKeys } from '../store/node-keys.ts';
import { nodeState } from '../store/node-state.ts';
import { nodeRows } from '../store/nodes.ts';
import { rosterRows } from '../store/roster.ts';
import { subscriptionRows } from '../store/subscriptions.ts';
import { sweepRows } from '../store/sweeps.ts';
import { accountKeys } from './accounts.ts';
import type { Context } from './context.ts';

export type Settling = SettleParts & { readonly keys: NodeKeys };

export async function partsOf(
  context: Context,
  accounts: OrgAccounts,
  settling: Settling,
): Promise<RegistryParts> {
  const { broker, clock, log, tokens, orgs } = context;
  const set = context.config.registry;
  const urls = set.node_nats_urls || context.config.nats.url;
  const { common, keys } = context.config;
  const tables = await tablesOf(context);
  const lastSeen = new LastSeen();
  const watch = new Silence(clock, WATCH_LIVENESSES * set.liveness_ms);
  broker.onDisconnect(() => watch.break());
  const { agents, routes } = tables;
  const setup = { broker, store: context.store, agents, routes, lastSeen, clock, log, config: set };
  const suspensions = new Suspensions({ ...tables, orgs, sweeps: sweepRows(context.store), log });
  const lifetimeMs = set.credentials_ttl_s * 1000;
  const issuing = { keysDir: accountKeys(context), accounts, clock, log };
  const publish = publisherOf(broker);
  const announcer = new Announcer({ publish, clock, log, max: set.events_waiting_max });
  return {
    ...tables,
    suspensions,
    ...admissionOf(context),
    nodeKeys: settling.keys,
    hub: hubKeys(keysFolder({ common, keys })),
    announcer,
    presence: new PresenceNews({ ...tables, announcer, clock }),
    nudge: nudging(broker, set.look_ms),
    settleKeys: (org) => settleKeys(settling, org),
    lastSeen,
    watch,
    moving: await movingDesk({ ...setup, instance: context.instance }),
    org: context.client(OrgServiceDefinition, { address: set.org_address }),
    orgs,
    consumers: broker.consumers,
    subscriptions: subscriptionRows(context.store),
    mint: minting({ ...issuing, lifetimeMs }),
    mintSubscriber: mintingSubscribers(issuing),
    tokens,
    clock,
    random: systemRandom,
    log,
    config: set,
    partitions: (await readFabricRecord(broker)).partitions,
    secret: await keptSecret(context.store, 'challenge'),
    natsUrls: urls.split(',').map((url) => url.trim()),
    jwks: publishing(context),
  };
}

/** Each heartbeat tells of it: the text is made anew for another trust, and once a second, since keys end by time. */
function publishing(context: Context): () => string {
  let made: { readonly trust: Context['trust']; readonly second: number; readonly text: string } | undefined;
  return () => {
    const now = nowMs(context.clock);
    const second = Math.floor(now / 1000);
    const { trust } = context;
    if (made?.trust !== trust || made.second !== second)
      made = { trust, second, text: JSON.stringify(publishedKeys(trust, now)) };
    return made.text;
  };
}

/** What was written before this replica came is known when this resolves. */
export async function beatsOf({ broker, config: { registry: set } }: Context, parts: RegistryParts) {
  const { announcer, clock, log, nodeRoutes, nodeState: state, known, lastSeen, watch } = parts;
  const max = set.known_nodes_max;
  const rosters = new Rosters({ state, max });
  const loads = new NodeLoads({ nodeRoutes, clock, log, everyMs: set.load_ms, max });
  const denials = new DenialNews({ announcer, clock, max });
  const look = new NodeLook({ state, lastSeen, known, rosters, clock });
  await look.once();
  watch.break();
  const work = async () => {
    try {
      await look.once();
    } catch (error) {
      watch.break();
      throw error;
    }
    if (!broker.connected()) watch.break();
  };
  const looking = new Rounds({ name: 'node look', intervalMs: set.look_ms, log, work });
  const answering = { ...parts, look, rosters, loads, denials };
  const heartbeats = new Heartbeats({
    answer: (beat, from) => answerHeartbeat(answering, beat, from),
    broker,
    clock,
    log,
    config: set,
  });
  return { looking, heartbeats };
}

export function publisherOf(broker: Context['broker']): Context['broker']['store'] {
  return (subject, payload, o) => broker.store(subject, payload, o);
}

/** Nodes, agents, channels and the routing table: in PostgreSQL, in the bucket and in memory. */
async function tablesOf({ store, broker, clock, log, config: { registry: set } }: Context) {
  const nodes = nodeRows(store);
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
  const routes: RouteTable = new RouteTable({
    bucket,
    onTouched,
    channels: new ChannelWriter(channels),
    removeGone: (keys) => removeGone({ agents, channels, nodes, routes }, keys),
  });
  const nodeRoutes = new NodeRoutes(routes);
  const known = new KnownNodes({
    load: (id) => nodes.byId(id),
    clock,
    max: set.known_nodes_max,
    freshMs: set.known_fresh_ms,
  });
  const ofNodes = { nodes, known, nodeState: nodeState(store), nodeRoutes };
  return { ...ofNodes, agents, roster: rosterRows(store), channels, routes, view };
}

/** What bounds greetings, rosters, and how agents come and go. */
function admissionOf({ clock, config: { registry: set } }: Context) {
  const { hellos_burst: burst, hellos_every_ms: everyMs, known_nodes_max: max } = set;
  const ofNodes = { burst: set.churn_burst, everyMs: set.churn_every_ms, max };
  const ofOrgs = { burst: set.org_churn_burst, everyMs: set.org_churn_every_ms, max };
  return {
    hellos: new Allowance({ burst, everyMs, max }),
    churn: new Churn({ ofNodes, ofOrgs, clock }),
    rosterTurns: new RosterTurns({ clock, config: set }),
  };
}

/** Twice: at once, and when the other replicas have looked at what has changed. */
function nudging(broker: Context['broker'], lookMs: number): RegistryParts['nudge'] {
  return (org, node, why) => {
    nudge(broker, org, node, why);
    setTimeout(() => nudge(broker, org, node, why), 2 * lookMs).unref();
  };
}
