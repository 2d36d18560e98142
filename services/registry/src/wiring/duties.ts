/** What one replica does for all: upkeep and the clearing of deleted orgs, each under its lease. */

import type { LeaseClaims } from '@fleetwire/broker';
import { LEASE_KEYS } from '@fleetwire/contract';
import { nowMs } from '@fleetwire/kernel';
import { CLEAR_BATCH, clearOrg } from '../handlers/clear-org.ts';
import { tellPresenceIfPossible } from '../handlers/node-news.ts';
import { OrgClearing } from '../handlers/org-clearing.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import type { RevokeNodes } from '../handlers/revoke-nodes.ts';
import { settleKeys, settlingSeldom, tellAllKeys } from '../handlers/settle-keys.ts';
import { StaleSweep } from '../handlers/stale-sweep.ts';
import { Upkeep } from '../handlers/upkeep.ts';
import { UsageReport } from '../handlers/usage-report.ts';
import { forgetMarkers, reconcile } from '../routing/reconcile.ts';
import type { Marker } from '../routing/route-table.ts';
import { epochRows } from '../store/epochs.ts';
import type { OrgRows } from '../store/orgs.ts';
import { sweepRows } from '../store/sweeps.ts';
import type { Context } from './context.ts';
import { publisherOf, type Settling } from './make-parts.ts';

export interface Duties {
  readonly leases: LeaseClaims;
  readonly orgRows: OrgRows;
  readonly revoke: RevokeNodes;
  readonly settling: Settling;
}

export function clearingOf(
  { broker, orgs, log }: Context,
  parts: RegistryParts,
  duties: Duties,
): OrgClearing {
  const { consumers } = broker;
  const { orgRows, revoke } = duties;
  const clearable = { ...parts, orgs: orgRows, revoke, consumers, batch: CLEAR_BATCH };
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
/** How long it is remembered which agents people have removed, and where agents have lived. */
const DISMISSED_MS = 30 * 24 * 3_600_000;
/** Channels whose routes one turn of the upkeep writes. */
const MENDED_AT_ONCE = 100;

export function upkeepOf({ broker, store }: Context, parts: RegistryParts, duties: Duties): Upkeep {
  const { agents, channels, clock, config, log, routes } = parts;
  const { settling } = duties;
  const stale = new StaleSweep({ ...parts, sweeps: sweepRows(store) });
  broker.onDisconnect(() => stale.forget());
  const markersUntilUs = () => clock.nowUs() - config.markers_keep_ms * 1000;
  const usage = new UsageReport({ orgs: duties.orgRows, publish: publisherOf(broker), clock });
  const settleSeldom = settlingSeldom(() => settleKeys(settling), clock);
  let markers: readonly Marker[] = [];
  // Servers that were away may come back with an older memory.
  let keysTold = false;
  const upkeep = new Upkeep({
    acquire: () => duties.leases.acquire(LEASE_KEYS.sweep('registry')),
    reconcile: async (over) => {
      const { left, ...done } = await reconcile({ ...parts, epochs: epochRows(store), markersUntilUs }, over);
      markers = left;
      return done;
    },
    forget: async (over) => {
      markers = await forgetMarkers(routes, markers, over);
    },
    sweep: async () => {
      const gone = await parts.nodes.sweep(nowMs(clock) - config.liveness_ms, SWEEP_ROWS);
      await tellPresenceIfPossible(parts, gone);
      return gone.map(({ name }) => name);
    },
    keys: async (over) => {
      await settling.keys.retire(nowMs(clock), SWEEP_ROWS);
      await settleSeldom();
      if (!keysTold) await tellAllKeys(settling, over);
      keysTold = !over.aborted;
    },
    sweepStale: async (mayGoOn) => {
      await agents.forgetDismissed(nowMs(clock) - DISMISSED_MS);
      await agents.forgetHomes(DISMISSED_MS);
      return stale.run(mayGoOn);
    },
    mendChannels: async () => routes.ensureChannels(await channels.unwritten(MENDED_AT_ONCE)),
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
