/** What the link to the hub is made of, and whom it tells. */

import type { Broker } from '@fleetwire/broker';
import type { HeartbeatReply, Moving } from '@fleetwire/gen/message';
import type { Logger } from '@fleetwire/telemetry';
import type { ConnectionParts, Hearing } from './connection.ts';
import type { BeatParts } from './heartbeat.ts';
import type { NodeIdentity, Welcome } from './identity-file.ts';
import type { NodeKeys } from './node-keys.ts';

/** What the registry tells this node besides, in protocol 2; it is told again with each heartbeat until it is dealt with. */
export interface HubNews {
  /** The registry has another roster of this node. */
  rosterDiffers(): void;
  /** Revision of the org's routing table. */
  syncRevision(revision: number): void;
  /** Agents that have moved away and whose mail is to be handed over: at least one. */
  moving(list: readonly Moving[]): void;
}

export interface HubLinkParts extends BeatParts, HubNews, Pick<Hearing, 'receipts' | 'event'> {
  /** Of its files. */
  readonly dir: string;
  readonly identity: Pick<NodeIdentity, 'node' | 'org'>;
  readonly keys: NodeKeys;
  readonly log: Logger;
  /** 0: as the hub says. */
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly connect: ConnectionParts['connect'];
  /** Instead of what the registry says; empty: none. */
  readonly natsUrls: readonly string[];
  /** A connection is there: `fresh` when the hub has to be told of the agents (again). */
  active(broker: Broker, welcome: Welcome, fresh: boolean): void;
  /** Another connection has taken the place of the one that was, which closes when this resolves. */
  changed(broker: Broker, welcome: Welcome): Promise<void>;
  /** The registry has answered a heartbeat of this node. */
  answered(): void;
  /** What the registry says of the org with each heartbeat. */
  told(reply: HeartbeatReply): void;
  /** NATS has reconnected by itself. */
  reconnected(): void;
  /** The connection is given up; another one follows. */
  lost(): Promise<void>;
}
