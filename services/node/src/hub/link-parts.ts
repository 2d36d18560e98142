/** What the link to the hub is made of, and whom it tells. */

import type { Broker } from '@fleetwire/broker';
import type { HeartbeatReply } from '@fleetwire/gen/message';
import type { Logger } from '@fleetwire/telemetry';
import type { ConnectionParts, Hearing } from './connection.ts';
import type { BeatParts } from './heartbeat.ts';
import type { Greeting } from './hello.ts';
import type { Welcome } from './identity-file.ts';
import type { NodeKeys } from './node-keys.ts';

export interface HubLinkParts extends BeatParts, Pick<Hearing, 'receipts' | 'event' | 'pressure'> {
  /** Of its files. */
  readonly dir: string;
  readonly org: string;
  readonly keys: NodeKeys;
  readonly log: Logger;
  /** 0: as the hub says. */
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly connect: ConnectionParts['connect'];
  /** Instead of what the registry says; empty: none. */
  readonly natsUrls: readonly string[];
  /** A connection is there: `fresh` when the hub has to be told of the agents (again). */
  active(broker: Broker, greeting: Greeting, fresh: boolean): void;
  /** Another connection has taken the place of the one that was, which closes when this resolves. */
  changed(broker: Broker, welcome: Welcome): Promise<void>;
  /** The registry has answered a heartbeat of this node, which it knows. */
  answered(reply: HeartbeatReply): void;
  /** What the registry says with each heartbeat, also to a node that it has forgotten; first what goes before `answered`. */
  told(reply: HeartbeatReply): Promise<void>;
  /** NATS has reconnected by itself. */
  reconnected(): void;
  /** The connection is given up; another one follows. */
  lost(): Promise<void>;
}
