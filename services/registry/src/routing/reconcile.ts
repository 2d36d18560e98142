/** Makes the routing table say what PostgreSQL says, while agents, channels and nodes come and go. */

import { parseRouteKey } from '@fleetwire/contract';
import { slices } from '@fleetwire/kernel';
import { diffRoutes, type PresentEntry, type WantedEntry } from '../domain/route-diff.ts';
import type { AgentRows } from '../store/agents.ts';
import type { ChannelRows } from '../store/channels.ts';
import type { EpochRows } from '../store/epochs.ts';
import type { NodeRows } from '../store/nodes.ts';
import { agentEntry, channelEntry, type KeyedEntry } from './entries.ts';
import { type MendNodesParts, mendNodes } from './node-routes.ts';
import { type RemovalParts, removeGone } from './remove-gone.ts';
import type { Marker, RouteTable } from './route-table.ts';

export interface ReconcileParts extends RemovalParts, MendNodesParts {
  readonly agents: Pick<AgentRows, 'scan' | 'byIds'>;
  readonly channels: Pick<ChannelRows, 'scan' | 'presentIds' | 'withMembers'>;
  readonly nodes: Pick<NodeRows, 'scan' | 'routed'>;
  readonly epochs: EpochRows;
  readonly routes: Pick<RouteTable, 'readAll' | 'ensureEntry' | 'removeKey' | 'forget'>;
  /** Markers from before this moment are not needed any more; broker time, microseconds. */
  readonly markersUntilUs: () => number;
}

export interface Reconciled {
  readonly routes: number;
  readonly put: number;
  readonly removed: number;
  /** Markers. */
  readonly forgotten: number;
  /** Markers that are old enough as well. */
  readonly left: readonly Marker[];
}

const PAGE = 1000;
/** A channel may have 10,000 members. */
const CHANNEL_PAGE = 50;
const AT_ONCE = 64;
/** At once; the rest by `forgetMarkers`. */
const MARKERS = 5000;

/**
 * Only the holder of the lease should do this, but two at once do no harm. An agent that is registered or removed in the
 * meantime is looked up once more before its entry is taken away, and after its entry was written.
 */
export async function reconcile(parts: ReconcileParts, over: AbortSignal): Promise<Reconciled> {
  const wanted = new Map<string, WantedEntry>();
  await collect(wanted, parts.agents, agentEntry, PAGE);
  await collect(wanted, parts.channels, channelEntry, CHANNEL_PAGE);
  const { entries, markers } = await parts.routes.readAll(over);
  // First: a bucket that is full takes nothing more until some of them are gone.
  const untilUs = parts.markersUntilUs();
  const old = markers.filter(({ storedAtUs }) => storedAtUs < untilUs);
  const left = await forgetMarkers(parts.routes, old, over);
  await raiseEpochs(parts.epochs, entries);
  const nodes = await mendNodes(parts, entries, over);
  const { put: wrong, remove, behind } = diffRoutes(wanted, entries);
  const put = [...wrong, ...(await renewed(parts, wanted, behind, over))];
  let removed = 0;
  // What was removed while we wrote must not come back by us.
  for (const keys of slices([...remove, ...nodes], PAGE)) {
    if (over.aborted) break;
    removed += await removeGone(parts, keys);
  }
  for (const page of slices(put, PAGE)) {
    if (over.aborted) break;
    for (const some of slices(page, AT_ONCE))
      await Promise.all(some.map(([key, entry]) => parts.routes.ensureEntry(key, entry, !entries.has(key))));
    removed += await removeGone(
      parts,
      page.map(([key]) => key),
    );
  }
  const forgotten = old.length - left.length;
  return { routes: wanted.size, put: put.length + nodes.length, removed, forgotten, left };
}

/** PostgreSQL was set back: whatever it decides from now on is later than what the table has. */
async function raiseEpochs(epochs: EpochRows, entries: ReadonlyMap<string, PresentEntry>): Promise<void> {
  let latest = 0;
  for (const { epoch } of entries.values()) latest = Math.max(latest, epoch);
  if (latest > 0) await epochs.raise(latest);
}

/** The entries of rows that are behind the table, now with later epochs; of one that was changed since it was read, none. */
async function renewed(
  { agents, channels, epochs }: ReconcileParts,
  wanted: ReadonlyMap<string, WantedEntry>,
  behind: readonly string[],
  over: AbortSignal,
): Promise<KeyedEntry[]> {
  const entries: KeyedEntry[] = [];
  const rowsOf = (kind: 'agent' | 'channel') =>
    behind.flatMap((key) => {
      const parsed = parseRouteKey(key);
      return parsed?.kind === kind ? [{ id: parsed.id, epoch: wanted.get(key)!.epoch }] : [];
    });
  for (const rows of slices(rowsOf('agent'), PAGE)) {
    if (over.aborted) return entries;
    const ids = [...(await epochs.renew('agent', rows)).keys()];
    if (ids.length > 0) entries.push(...(await agents.byIds(ids)).map(agentEntry));
  }
  for (const rows of slices(rowsOf('channel'), CHANNEL_PAGE)) {
    if (over.aborted) return entries;
    const ids = [...(await epochs.renew('channel', rows)).keys()];
    if (ids.length > 0) entries.push(...(await channels.withMembers(ids)).map(channelEntry));
  }
  return entries;
}

async function collect<T extends { readonly id: string }>(
  wanted: Map<string, WantedEntry>,
  rows: { scan(afterId: string, limit: number): Promise<T[]> },
  entry: (row: T) => KeyedEntry,
  size: number,
): Promise<void> {
  for (let after = ''; ; ) {
    const page = await rows.scan(after, size);
    for (const row of page) wanted.set(...entry(row));
    if (page.length < size) return;
    after = page.at(-1)!.id;
  }
}

/**
 * Forgets some of what is old enough, so that whoever was away for less than the time that it is kept has still seen what it
 * says. Gives the rest.
 */
export async function forgetMarkers(
  routes: Pick<RouteTable, 'forget'>,
  old: readonly Marker[],
  over: AbortSignal,
): Promise<readonly Marker[]> {
  let forgotten = 0;
  for (const some of slices(old.slice(0, MARKERS), AT_ONCE)) {
    if (over.aborted) break;
    await Promise.all(some.map((marker) => routes.forget(marker)));
    forgotten += some.length;
  }
  return old.slice(forgotten);
}
