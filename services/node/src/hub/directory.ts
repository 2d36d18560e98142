/** The org as the hub last told it (PEER_SYNC): kept on the disk, and of use for a while when the hub is away. */

import { ChannelRoute, NodeRoute, Route } from '@fleetwire/gen/message';
import type { DirectoryResponse } from '@fleetwire/gen/node';
import type { SyncResponse } from '@fleetwire/gen/registry';
import { asFleetwireError, type Clock, FleetwireError, foldName, ID_PREFIXES } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentTable } from '../store/agent-table.ts';
import type { DirectoryEntry, DirectoryTable } from '../store/directory-table.ts';
import type { Turns } from '../store/turns.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface DirectoryParts {
  readonly table: DirectoryTable;
  readonly meta: Pick<AgentTable, 'meta' | 'setMeta'>;
  readonly turns: Turns;
  readonly door: Pick<RegistryDoor, 'sync'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Entries that are kept, twice as many while all is told anew; what is beyond is left out. */
  readonly entriesMax: number;
  /** How long after the hub's last word it is of use. */
  readonly freshMs: number;
  /** After which all of it is asked for again. */
  readonly fullMs: number;
  /** Is the hub there? */
  hubActive(): boolean;
  /** Agents that the hub has told of. */
  heard(routes: readonly Route[]): void;
}

interface State {
  /** Of the hub's last whole answer; 0: there was none. */
  readonly revision: number;
  readonly generation: number;
  readonly asOfMs: number;
  readonly fullAtMs: number;
}

const STATE_KEY = 'directory';
const NOTHING: State = { revision: 0, generation: 0, asOfMs: 0, fullAtMs: 0 };
/** The hub's word that nothing has changed is written down this often. */
const WRITE_MS = 60_000;
/** Pages of one answer; each must bring the next one, so this only ends a hub that does not. */
const PAGES_MAX = 100_000;
/** Of one answer to a program, far below what gRPC allows. */
const ANSWER_BYTES = 4 * 1024 * 1024;
const ANSWER_ENTRIES = 10_000;
/** Names that are looked through for a mistyped one. */
const NAMES_MAX = 10_000;
/** Channels whose members are kept in memory. */
const CHANNELS_MAX = 100;
/** Agents whose homes are kept in memory. */
const HOMES_MAX = 10_000;

export class Directory {
  readonly #parts: DirectoryParts;
  #state: State;
  #written: State;
  /** What the hub's heartbeats last named. */
  #newest = 0;
  /** Of the last full answer that was begun: grows over restarts too, so that one that was cut short does not count. */
  #attempt: number;
  #syncing: Promise<void> | undefined;
  #said = '';
  /** Members of channels and groups that were asked for since something was last told, by mark and folded name. */
  readonly #members = new Map<string, ReadonlySet<string>>();
  /** Of agents that were asked for since something was last told: where they live and come from. */
  readonly #homes = new Map<string, readonly string[]>();

  constructor(parts: DirectoryParts) {
    this.#parts = parts;
    this.#state = readState(parts.meta.meta(STATE_KEY));
    this.#written = this.#state;
    this.#attempt = this.#state.generation;
  }

  /** With each heartbeat that was answered. Asks for what is missing; resolves when that was taken or has failed. */
  async told(revision: number): Promise<void> {
    if (revision === 0) return;
    this.#newest = revision;
    const nowMs = this.#nowMs();
    const { fullAtMs, revision: own } = this.#state;
    const full = own === 0 || nowMs - fullAtMs >= this.#parts.fullMs;
    if (own === revision && !full) return this.#confirmed(nowMs);
    this.#syncing ??= this.#sync(full).finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  /** One page, empty when nothing is known that is fresh enough. Throws INVALID_PAGE_TOKEN. */
  page(pageSize: number, pageToken: string): DirectoryResponse {
    if (pageToken !== '' && !/^[a-z]_\w{1,64}$/.test(pageToken))
      throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'there is no such page', {
        help: 'Use the token of the answer before, or none.',
      });
    const { asOfMs, revision } = this.#state;
    const current = this.#parts.hubActive() && revision !== 0 && revision === this.#newest;
    const answer = { agents: [], nodes: [], channels: [], asOfMs, current, nextPageToken: '' };
    if (!this.#fresh()) return { ...answer, current: false };
    return this.#filled(answer, Math.min(pageSize || ANSWER_ENTRIES, ANSWER_ENTRIES), pageToken);
  }

  /** Of agents, to suggest one for a mistyped name; none when it is not fresh. */
  agentNames(): string[] {
    return this.#fresh() ? this.#parts.table.agentNames(NAMES_MAX) : [];
  }

  /** Ids of those in a channel or group; undefined when it is not known here, or not fresh. */
  members(kind: 'channel' | 'group', name: string): ReadonlySet<string> | undefined {
    if (!this.#fresh()) return undefined;
    const key = `${kind} ${foldName(name)}`;
    const known = this.#members.get(key);
    if (known !== undefined) return known;
    const channels = this.#parts.table.channelsNamed(name).map((entry) => ChannelRoute.decode(entry));
    const found = channels.find(({ group }) => group === (kind === 'group'));
    if (found === undefined) return undefined;
    if (this.#members.size >= CHANNELS_MAX) this.#members.clear();
    const members = new Set(found.members);
    this.#members.set(key, members);
    return members;
  }

  /** As far as it is fresh. */
  suspended(agent: string): boolean {
    const entry = this.#fresh() ? this.#parts.table.entry(agent) : undefined;
    return entry !== undefined && Route.decode(entry).suspended;
  }

  /** Does the agent live there, or is its mail on the way from there? As last told, however long ago: a map look-up. */
  isHome(agent: string, node: string): boolean {
    const known = this.#homes.get(agent);
    if (known !== undefined) return known.includes(node);
    const entry = isOf('agent', agent) ? this.#parts.table.entry(agent) : undefined;
    if (entry === undefined) return false;
    const { node: home, movingFrom } = Route.decode(entry);
    if (this.#homes.size >= HOMES_MAX) this.#homes.clear();
    this.#homes.set(agent, [home, movingFrom]);
    return home === node || movingFrom === node;
  }

  /** Is there an agent of this name, on other nodes than `node` only? False for one that is not known, or not freshly. */
  livesElsewhere(name: string, node: string): boolean {
    const entries = this.#fresh() ? this.#parts.table.agentsNamed(name) : [];
    return entries.length > 0 && entries.every((entry) => Route.decode(entry).node !== node);
  }

  #filled(answer: DirectoryResponse, size: number, after: string): DirectoryResponse {
    let entries = 0;
    let bytes = 0;
    let last = '';
    for (const { id, entry } of this.#parts.table.beyond(after)) {
      bytes += entry.length;
      if (entries === size || (entries > 0 && bytes > ANSWER_BYTES))
        return { ...answer, nextPageToken: last };
      if (isOf('agent', id)) answer.agents.push(Route.decode(entry));
      else if (isOf('node', id)) answer.nodes.push(NodeRoute.decode(entry));
      else answer.channels.push(ChannelRoute.decode(entry));
      entries++;
      last = id;
    }
    return answer;
  }

  #fresh(): boolean {
    const { revision, asOfMs } = this.#state;
    return revision !== 0 && this.#nowMs() - asOfMs <= this.#parts.freshMs;
  }

  #nowMs(): number {
    return Math.floor(this.#parts.clock.nowUs() / 1000);
  }

  #confirmed(nowMs: number): void {
    this.#state = { ...this.#state, asOfMs: nowMs };
    if (nowMs - this.#written.asOfMs < WRITE_MS) return;
    this.#parts.turns.addLater(() => this.#write());
  }

  async #sync(full: boolean): Promise<void> {
    const { log } = this.#parts;
    try {
      await this.#takeAll(full ? 0 : this.#state.revision);
      this.#said = '';
    } catch (thrown) {
      const error = asFleetwireError(thrown);
      // A hub of before, or one that is away: the next heartbeat asks again.
      if (this.#said !== error.reason) log.warn({ err: error }, 'the directory of the org is not up to date');
      this.#said = error.reason;
    }
  }

  async #takeAll(revision: number): Promise<void> {
    const { door, turns } = this.#parts;
    const asOfMs = this.#nowMs();
    let pageToken = '';
    let generation = this.#state.generation;
    let taken = 0;
    for (let page = 0; page < PAGES_MAX; page++) {
      const answer = await door.sync({ revision, pageToken });
      if (page === 0 && answer.full) generation = this.#attempt = Math.max(this.#attempt + 1, asOfMs);
      const last = answer.nextPageToken === '';
      await turns.run(() => {
        taken = this.#take(answer, generation, taken);
        if (!last) return;
        if (generation !== this.#state.generation) this.#parts.table.removeBefore(generation);
        const fullAtMs = generation === this.#state.generation ? this.#state.fullAtMs : asOfMs;
        this.#state = { revision: answer.revision, generation, asOfMs, fullAtMs };
        this.#write();
      });
      this.#parts.heard(answer.agents);
      if (last) return;
      pageToken = answer.nextPageToken;
    }
    throw new FleetwireError('internal', 'REGISTRY_ANSWER', 'the answer has no end');
  }

  /**
   * Inside a turn. Of a full answer its own entries count, since what was there before goes at its end; `taken`: of the
   * pages before. Gives how many there are now.
   */
  #take(answer: SyncResponse, generation: number, taken: number): number {
    const { table, entriesMax, log } = this.#parts;
    this.#members.clear();
    this.#homes.clear();
    for (const id of answer.removed) table.remove(id);
    let left = 0;
    let now = taken;
    for (const entry of entriesOf(answer)) {
      const known = table.has(entry.id);
      // Answers that were cut short may have left others behind.
      const room = answer.full
        ? now < entriesMax && (known || table.size < 2 * entriesMax)
        : known || table.size < entriesMax;
      if (room) table.put(entry, generation);
      if (room) now++;
      else left++;
    }
    if (left > 0) log.warn({ left, entriesMax }, 'the org is larger than the directory of this node may be');
    return now;
  }

  #write(): void {
    this.#written = this.#state;
    this.#parts.meta.setMeta(STATE_KEY, JSON.stringify(this.#state));
  }
}

function* entriesOf({ agents, nodes, channels }: SyncResponse): Generator<DirectoryEntry> {
  for (const route of agents)
    if (isOf('agent', route.agent))
      yield { id: route.agent, name: route.name, entry: Route.encode(route).finish() };
  for (const route of nodes)
    if (isOf('node', route.node))
      yield { id: route.node, name: route.name, entry: NodeRoute.encode(route).finish() };
  for (const route of channels)
    if (isOf('channel', route.channel))
      yield { id: route.channel, name: route.name, entry: ChannelRoute.encode(route).finish() };
}

const isOf = (type: 'agent' | 'node' | 'channel', id: string) => id.startsWith(`${ID_PREFIXES[type]}_`);

/** What cannot be read is asked for anew. */
function readState(text: string | undefined): State {
  try {
    const state = { ...NOTHING, ...(JSON.parse(text ?? '{}') as Partial<State>) };
    return Object.values(state).every(Number.isSafeInteger) ? state : NOTHING;
  } catch {
    return NOTHING;
  }
}
