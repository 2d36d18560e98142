/** The routing table as this replica sees it: in memory, by watch, with all there is to know of agents beside it. */

import type { Bucket, BucketWatch, WatchEntry } from '@fleetwire/broker';
import { parseRouteKey } from '@fleetwire/contract';
import type { Clock } from '@fleetwire/kernel';
import type { AgentRows, PlacedAgent } from '../store/agents.ts';
import { type Decoded, decodeEntry } from './entries.ts';
import { OrgView, type ViewEntry } from './org-view.ts';
import { RowReader, type RowReaderLog } from './row-reader.ts';
import { shared } from './shared-strings.ts';

export interface WatchedRoutesOptions {
  readonly bucket: Pick<Bucket, 'watch'>;
  readonly agents: Pick<AgentRows, 'byIds'>;
  readonly clock: Clock;
  readonly log: RowReaderLog;
  readonly rowsMax: number;
  readonly changesMax: number;
  /** How long the bucket remembers what was removed. */
  readonly markersKeepMs: number;
}

export class WatchedRoutes {
  readonly name = 'watched routes';
  readonly #o: WatchedRoutesOptions;
  /** Of orgs that have something. */
  readonly #orgs = new Map<string, OrgView>();
  readonly #rows: RowReader;
  #watch: BucketWatch | undefined;
  /** While all is read for the first time: of changes up to here some may be missing; undefined: so far, of all. */
  #reading: { floor: number | undefined } | undefined = { floor: undefined };

  constructor(options: WatchedRoutesOptions) {
    this.#o = options;
    this.#rows = new RowReader({ ...options, remember: (row) => this.remember(row) });
  }

  /** Resolves when all that is in the bucket was read. */
  async open(): Promise<void> {
    const read = Promise.withResolvers<void>();
    const onEntry = (entry: WatchEntry) => this.apply(entry);
    this.#watch = await this.#o.bucket.watch(onEntry, read.resolve, {
      onClosed: read.reject,
      removals: true,
    });
    await read.promise;
    const floor = this.#reading?.floor ?? Number.MAX_SAFE_INTEGER;
    this.#reading = undefined;
    for (const [org, view] of this.#orgs) {
      view.begin(floor);
      this.#forgetEmpty(org, view);
    }
  }

  start(): void {
    this.#rows.start();
  }

  async stop(): Promise<void> {
    this.#watch?.stop();
    await this.#rows.stop();
  }

  /** Takes one change; what is known already, or is no entry, changes nothing. */
  apply({ key, value, position, storedAtUs }: WatchEntry): void {
    const parsed = parseRouteKey(key);
    if (this.#reading !== undefined) this.#findFloor(position, storedAtUs);
    if (parsed === undefined) return;
    const decoded = value && decodeEntry(key, value);
    const view = this.#orgs.get(parsed.org) ?? this.#begun(parsed.org, position);
    const changed = decoded && view.put(parsed.id, share(decoded), position);
    // What cannot be read is as good as gone: nobody can follow it.
    const before = decoded === undefined ? view.remove(parsed.id, position) : changed?.before;
    if (before?.row !== undefined) this.#rows.count--;
    if (changed?.entry.kind === 'agent') this.#rows.want(changed.entry);
    this.#forgetEmpty(parsed.org, view);
  }

  /** All of the agent, when it is as new as its route; undefined: ask PostgreSQL. */
  agentById(org: string, id: string): PlacedAgent | undefined {
    return this.#orgs.get(org)?.byId(id)?.row;
  }

  agentByName(org: string, name: string): PlacedAgent | undefined {
    return this.#orgs.get(org)?.byName(name)?.row;
  }

  /** Keeps a row that was read, if its route is here and says the same. */
  remember(row: PlacedAgent): void {
    const entry = this.#orgs.get(row.org)?.byId(row.id);
    if (entry?.kind !== 'agent' || entry.route.epoch !== row.epoch) return;
    if (entry.route.movingFrom !== row.movingFrom) return;
    if (entry.row === undefined) {
      if (this.#rows.count >= this.#o.rowsMax) return;
      this.#rows.count++;
    }
    const { agent: id, name, node, nodeName } = entry.route;
    entry.row = { ...row, id, org: shared(row.org), name, node, nodeName, adapter: shared(row.adapter) };
  }

  /** What is here may be older than what this process has just written: ask PostgreSQL until the change arrives. */
  distrust(key: string): void {
    const parsed = parseRouteKey(key);
    const entry = parsed && this.#orgs.get(parsed.org)?.byId(parsed.id);
    if (entry?.row === undefined) return;
    entry.row = undefined;
    this.#rows.count--;
  }

  /** The table has exactly this agent, as far as is known here. */
  shows(row: PlacedAgent): boolean {
    const entry = this.#orgs.get(row.org)?.byId(row.id);
    return entry?.kind === 'agent' && entry.route.epoch === row.epoch;
  }

  /** Of the last change of the org's entries, as `Bucket.position`; 0: it has none. */
  syncRevision(org: string): number {
    return this.#orgs.get(org)?.revision ?? 0;
  }

  /** Of a node, 0 idle to 10 busy; 0 as well when nothing is known of it. */
  loadOf(org: string, node: string): number {
    const entry = this.#orgs.get(org)?.byId(node);
    return entry?.kind === 'node' ? entry.route.load : 0;
  }

  viewOf(org: string): OrgView | undefined {
    return this.#orgs.get(org);
  }

  /** Ids of the agents that have it, the best to reach first. `node`: only of this one, by id or name; empty: of all. */
  capable(org: string, capability: string, node: string): string[] {
    const view = this.#orgs.get(org);
    const found: { id: string; rank: number; name: string }[] = [];
    for (const entry of view?.able(capability) ?? []) {
      const { route } = entry;
      if (node !== '' && route.node !== node && route.nodeName.toLowerCase() !== node.toLowerCase()) continue;
      found.push({ id: entry.id, rank: rankOf(entry, view!.byId(route.node)), name: route.name });
    }
    found.sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1));
    return found.map(({ id }) => id);
  }

  /** For status pages. */
  get figures(): { readonly entries: number; readonly rows: number } {
    let entries = 0;
    for (const view of this.#orgs.values()) entries += view.size;
    return { entries, rows: this.#rows.count };
  }

  /** It may have been forgotten before: whoever knows it from then reads all of it again. */
  #begun(org: string, position: number): OrgView {
    const view = new OrgView(this.#o.changesMax, this.#reading === undefined ? position - 1 : 0);
    this.#orgs.set(shared(org), view);
    return view;
  }

  /** While all is read, what was removed counts. */
  #forgetEmpty(org: string, view: OrgView): void {
    if (view.size === 0 && this.#reading === undefined) this.#orgs.delete(org);
  }

  /**
   * The bucket tells the last of each key in order. What was removed longer ago than the bucket remembers may be missing, so
   * changes are complete from the first one on that is younger than that.
   */
  #findFloor(position: number, storedAtUs: number): void {
    const reading = this.#reading!;
    const oldest = this.#o.clock.nowUs() - this.#o.markersKeepMs * 1000;
    if (reading.floor === undefined && storedAtUs >= oldest) reading.floor = position - 1;
  }
}

/** Low is good: 0 to 10 by load, then suspended, moving or draining, then away. */
function rankOf(agent: ViewEntry & { kind: 'agent' }, node: ViewEntry | undefined): number {
  const { suspended, movingFrom } = agent.route;
  if (node?.kind !== 'node' || !node.route.online) return 400;
  return node.route.load + (suspended ? 300 : 0) + (movingFrom === '' && !node.route.draining ? 0 : 100);
}

/** Texts that many entries have in common are kept once. */
function share(decoded: Decoded): Decoded {
  if (decoded.kind !== 'agent') return decoded;
  const { route } = decoded;
  route.node = shared(route.node);
  route.nodeName = shared(route.nodeName);
  route.group = shared(route.group);
  route.movingFrom = shared(route.movingFrom);
  route.capabilities = route.capabilities.length === 0 ? NONE : route.capabilities.map(shared);
  return decoded;
}

const NONE: string[] = [];
