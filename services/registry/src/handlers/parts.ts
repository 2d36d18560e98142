/** What the handlers are made of. */

import type { Broker } from '@fleetwire/broker';
import type { OrgServiceDefinition } from '@fleetwire/gen/org';
import type { SubscriberUserOptions, TokenSigner } from '@fleetwire/identity';
import type { Clock, Random } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import type { Orgs } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import type { Allowance } from '../domain/allowance.ts';
import type { Churn } from '../domain/churn.ts';
import type { LastSeen } from '../domain/liveness.ts';
import type { Silence } from '../domain/silence.ts';
import type { MovingDesk } from '../moving/moving-part.ts';
import type { NodeRoutes } from '../routing/node-routes.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { WatchedRoutes } from '../routing/watched-routes.ts';
import type { AgentRows } from '../store/agents.ts';
import type { ChannelRows } from '../store/channels.ts';
import type { NodeRow } from '../store/entities.ts';
import type { NodeKeys } from '../store/node-keys.ts';
import type { NodeState } from '../store/node-state.ts';
import type { NodeRows } from '../store/nodes.ts';
import type { RosterRows } from '../store/roster.ts';
import type { SubscriptionRows } from '../store/subscriptions.ts';
import type { Announcer } from './announcer.ts';
import type { HubKeys } from './hub-keys.ts';
import type { KnownNodes } from './known-nodes.ts';
import type { PresenceNews } from './presence-news.ts';
import type { RosterTurns } from './roster-turns.ts';
import type { Suspensions } from './suspensions.ts';

/** Makes NATS credentials for a node; `jwt` is empty on a server without accounts. */
export type MintCredentials = (
  node: Pick<NodeRow, 'id' | 'org' | 'publicKey' | 'partition' | 'shard'> &
    Partial<Pick<NodeRow, 'issuedAfterS'>>,
) => Promise<{ jwt: string; expiresAtMs: number }>;

/** Makes NATS credentials for a subscriber; as above. */
export type MintSubscriber = (
  subscriber: Omit<SubscriberUserOptions, 'signing' | 'nowMs'>,
) => Promise<{ jwt: string; expiresAtMs: number }>;

export interface RegistryParts {
  readonly nodes: NodeRows;
  readonly nodeState: NodeState;
  readonly nodeKeys: NodeKeys;
  readonly nodeRoutes: NodeRoutes;
  /** What is remembered of nodes between heartbeats. */
  readonly known: KnownNodes;
  /** HELLOs of a node, by its machine and by all others. */
  readonly hellos: Allowance;
  readonly churn: Churn;
  readonly rosterTurns: RosterTurns;
  readonly hub: HubKeys;
  readonly announcer: Announcer;
  /** Tells that nodes come and go. */
  readonly presence: PresenceNews;
  /** Has a node send a heartbeat, since its answer has news: now, and once every replica knows. Never throws. */
  readonly nudge: (org: string, node: string, why: string) => void;
  /** Completes removals, rotations and shut-outs of an org at the broker. Can be repeated. */
  readonly settleKeys: (org: string) => Promise<unknown>;
  readonly agents: AgentRows;
  readonly roster: RosterRows;
  readonly channels: ChannelRows;
  readonly routes: RouteTable;
  readonly suspensions: Suspensions;
  readonly view: WatchedRoutes;
  readonly lastSeen: LastSeen;
  /** For how long this replica has heard of all nodes. */
  readonly watch: Silence;
  readonly moving: MovingDesk;
  readonly org: Pick<
    RpcClient<OrgServiceDefinition>,
    'redeemJoinToken' | 'confirmCleared' | 'listUnrevokedKeys'
  >;
  readonly orgs: Orgs;
  readonly consumers: Pick<Broker['consumers'], 'recreate' | 'open' | 'info' | 'remove'>;
  readonly subscriptions: SubscriptionRows;
  readonly mint: MintCredentials;
  readonly mintSubscriber: MintSubscriber;
  readonly tokens: TokenSigner;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly config: RegistryConfig;
  /** Of the fabric, fixed at bootstrap. */
  readonly partitions: number;
  /** Shared by all replicas, for nonces. */
  readonly secret: Uint8Array;
  /** What nodes are told to connect to. */
  readonly natsUrls: readonly string[];
  /** JSON Web Key Set of the token signers that are to be believed now. */
  readonly jwks: () => string;
}
