/** What the handlers are made of. */

import type { Broker } from '@fleetwire/broker';
import type { OrgServiceDefinition } from '@fleetwire/gen/org';
import type { TokenSigner } from '@fleetwire/identity';
import type { Clock, Random } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import type { Orgs } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import type { LastSeen } from '../domain/liveness.ts';
import type { MovingDesk } from '../moving/moving-part.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows } from '../store/agents.ts';
import type { NodeRow } from '../store/entities.ts';
import type { NodeRows } from '../store/nodes.ts';

/** Makes NATS credentials for a node; `jwt` is empty on a server without accounts. */
export type MintCredentials = (
  node: Pick<NodeRow, 'id' | 'org' | 'publicKey' | 'partition' | 'shard'>,
) => Promise<{ jwt: string; expiresAtMs: number }>;

export interface RegistryParts {
  readonly nodes: NodeRows;
  readonly agents: AgentRows;
  readonly routes: RouteTable;
  readonly lastSeen: LastSeen;
  readonly moving: MovingDesk;
  readonly org: Pick<RpcClient<OrgServiceDefinition>, 'redeemJoinToken' | 'confirmCleared'>;
  readonly orgs: Orgs;
  readonly consumers: Pick<Broker['consumers'], 'recreate'>;
  readonly mint: MintCredentials;
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
