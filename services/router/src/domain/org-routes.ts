/** The routing table of one org: agents by id and by name, nodes, channels, and who can do what. */

import type { ChannelRoute, NodeRoute } from '@fleetwire/gen/message';
import { foldName, hashOf } from '@fleetwire/kernel';
import type { Able } from './capability-index.ts';
import { CapabilityIndex } from './capability-index.ts';
import { ChannelShares, type Shares } from './channel-shares.ts';
import { PlaceIndex } from './place-index.ts';
import { ProjectIndex } from './project-index.ts';
import type { Place, RouteEntry } from './route-entry.ts';

/** One node; each news of it is a new object. */
export interface NodeEntry {
  readonly node: string;
  /** Of its id. */
  readonly hash: number;
  readonly name: string;
  readonly epoch: number;
  readonly online: boolean;
  /** It takes no new work, though it is online. */
  readonly draining: boolean;
  /** 0 idle to 10 busy. */
  readonly load: number;
  /** What was sent there since it told this load. */
  sent: Sent | undefined;
}

/** To whoever can do something; see Anycast. */
export interface Sent {
  /** The first of it, microseconds. */
  readonly sinceUs: number;
  total: number;
  readonly byAgent: Map<string, number>;
}

export interface ChannelEntry {
  readonly channel: string;
  readonly name: string;
  readonly kind: ChannelKind;
  readonly epoch: number;
  /** Ids of agents. */
  readonly members: readonly string[];
}
export type ChannelKind = 'channel' | 'group';

export class OrgRoutes {
  readonly byName = new Map<string, RouteEntry>();
  readonly byAgent = new Map<string, RouteEntry>();
  readonly nodes = new Map<string, NodeEntry>();
  readonly #nodesByName = new Map<string, NodeEntry>();
  readonly #places = new PlaceIndex();
  readonly #projects = new ProjectIndex();
  readonly #channels = new Map<string, ChannelEntry>();
  readonly #channelsByName = new Map<string, ChannelEntry>();
  readonly #index = new CapabilityIndex();
  readonly #shares = new ChannelShares(this.byAgent);

  get empty(): boolean {
    return this.byAgent.size === 0 && this.nodes.size === 0 && this.#channels.size === 0;
  }

  get channels(): number {
    return this.#channels.size;
  }

  able(capability: string): Able | undefined {
    return this.#index.of(capability);
  }

  /** Where its agents live. */
  get places(): Iterable<Place> {
    return this.#places.all();
  }

  placesOf(node: string): readonly Place[] {
    return this.#places.of(node);
  }

  /** Those who work on it, folded; undefined when nobody does. */
  project(project: string): ReadonlySet<RouteEntry> | undefined {
    return this.#projects.of(project);
  }

  get projects(): Iterable<string> {
    return this.#projects.names();
  }

  nodeByName(folded: string): NodeEntry | undefined {
    return this.#nodesByName.get(folded);
  }

  /** False when what is there is newer. */
  put(entry: RouteEntry): boolean {
    const before = this.byAgent.get(entry.agent);
    if (before !== undefined && before.epoch > entry.epoch) return false;
    this.#shares.forget();
    if (before !== undefined) this.#leave(before);
    entry.place = this.#places.enter(entry);
    this.#projects.add(entry);
    this.byAgent.set(entry.agent, entry);
    this.byName.set(entry.folded, entry);
    this.#index.add(entry);
    return true;
  }

  remove(agent: string): RouteEntry | undefined {
    const entry = this.byAgent.get(agent);
    if (entry === undefined) return undefined;
    this.#shares.forget();
    this.byAgent.delete(agent);
    this.#leave(entry);
    return entry;
  }

  putNode(route: NodeRoute): void {
    const before = this.nodes.get(route.node);
    if (before !== undefined && before.epoch > route.epoch) return;
    if (before !== undefined) this.#leaveNodeName(before);
    const { node, name, epoch, online, draining, load } = route;
    const entry = { node, hash: hashOf(node), name, epoch, online, draining, load, sent: undefined };
    this.nodes.set(node, entry);
    this.#nodesByName.set(foldName(name), entry);
  }

  removeNode(id: string): void {
    const entry = this.nodes.get(id);
    if (entry === undefined) return;
    this.nodes.delete(id);
    this.#leaveNodeName(entry);
  }

  putChannel(route: ChannelRoute): void {
    const before = this.#channels.get(route.channel);
    if (before !== undefined && before.epoch > route.epoch) return;
    const kind = route.group ? 'group' : 'channel';
    // The text of an id is held once, whoever speaks of it.
    const members = route.members.map((id) => this.byAgent.get(id)?.agent ?? id);
    const entry = { channel: route.channel, name: route.name, kind, epoch: route.epoch, members } as const;
    if (before !== undefined) this.#leaveName(before);
    this.#channels.set(entry.channel, entry);
    this.#channelsByName.set(nameKey(kind, entry.name), entry);
  }

  removeChannel(id: string): void {
    const entry = this.#channels.get(id);
    if (entry === undefined) return;
    this.#channels.delete(id);
    this.#leaveName(entry);
  }

  channel(name: string, kind: ChannelKind): ChannelEntry | undefined {
    return this.#channelsByName.get(nameKey(kind, name));
  }

  /** Its members, but for who is unknown or suspended, by place. */
  sharesOf(entry: ChannelEntry): Shares {
    return this.#shares.of(entry);
  }

  get allChannels(): Iterable<ChannelEntry> {
    return this.#channels.values();
  }

  #leaveName(entry: ChannelEntry): void {
    const key = nameKey(entry.kind, entry.name);
    if (this.#channelsByName.get(key) === entry) this.#channelsByName.delete(key);
  }

  /** A name that another agent has claimed since is that one's. */
  #leave(entry: RouteEntry): void {
    if (this.byName.get(entry.folded) === entry) this.byName.delete(entry.folded);
    this.#index.remove(entry);
    this.#projects.remove(entry);
    this.#places.leave(entry);
  }

  #leaveNodeName(entry: NodeEntry): void {
    const folded = foldName(entry.name);
    if (this.#nodesByName.get(folded) === entry) this.#nodesByName.delete(folded);
  }
}

function nameKey(kind: ChannelKind, name: string): string {
  return (kind === 'group' ? '%' : '#') + foldName(name);
}
