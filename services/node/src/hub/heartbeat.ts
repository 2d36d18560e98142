/** What a heartbeat says, and what its answer means. */

import type { Heartbeat } from '@fleetwire/gen/message';
import type { Denials } from '../domain/denials.ts';
import { type NodeSelf, PLATFORM } from './hello.ts';
import type { NodeClock } from './node-clock.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface BeatParts {
  readonly node: string;
  readonly door: RegistryDoor;
  readonly clock: NodeClock;
  readonly self: NodeSelf;
  readonly denials: Denials;
  agents(): number;
  /** 0 idle to 10 busy. */
  load(): number;
}

/** Without a word from the hub and from the configuration. */
const INTERVAL_MS = 10_000;
/** Heartbeats within the silence after which the hub shows a node as offline, at least. */
const WITHIN_LIVENESS = 2;

export function heartbeatOf(parts: BeatParts, leaving = false): Heartbeat {
  const { node, door, clock, self, denials } = parts;
  const endsMs = door.credentials()?.expiresAtMs ?? 0;
  const credentialsLeftS = Math.max(0, Math.round((endsMs - clock.nowUs() / 1000) / 1000));
  const { version, instance } = self;
  const counted = { agents: parts.agents(), rosterDigest: self.rosterDigest(), load: parts.load() };
  const who = { node, version, instance, platform: PLATFORM, protocol: door.welcome?.protocol ?? 0 };
  const news = { facts: self.facts.news(), denials: denials.next() };
  return { ...who, ...counted, ...news, credentialsLeftS, leaving };
}

/** Milliseconds between two heartbeats: as the hub says, or more often where the configuration asks for that. */
export function intervalMs(
  configuredMs: number,
  hub: { readonly heartbeatMs: number; readonly livenessMs: number } | undefined,
): number {
  const { heartbeatMs = 0, livenessMs = 0 } = hub ?? {};
  const asked = heartbeatMs || configuredMs || INTERVAL_MS;
  const most = livenessMs > 0 ? Math.max(1, Math.floor(livenessMs / WITHIN_LIVENESS)) : asked;
  return Math.min(asked, configuredMs || asked, most);
}
