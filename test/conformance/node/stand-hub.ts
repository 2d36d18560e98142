/** A hub as docs/protocol.md describes one, made to be misbehaved by its test: what a node is driven by. */

import { randomBytes } from 'node:crypto';
import {
  Heartbeat,
  HeartbeatReply,
  type InboxEntry,
  InboxPack,
  PeerFrame,
  type Receipt,
  ReceiptBatch,
} from '@fleetwire/gen/message';
import {
  type Agent,
  type HandOverRequest,
  type HelloRequest,
  type HelloResponse,
  type JoinRequest,
  type RegisterAgentRequest,
  RegistryServiceDefinition,
  type RosterAgent,
  type RotateKeyRequest,
  type SyncRequest,
  type SyncResponse,
} from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { status } from '@grpc/grpc-js';
import type { Msg } from '@nats-io/nats-core';
import {
  digestOf,
  helloText,
  isSigned,
  newHubKey,
  newId,
  nodeHelloText,
  rotationText,
} from '../wire/keys.ts';
import { api, store } from '../wire/nats.ts';
import { type Handlers, Refused, serve } from '../wire/rpc.ts';
import { createStreams, recreateConsumer, type StandServers, startStandServers } from './stand-servers.ts';

export const ORG = newId('o', 'conformance');
export const JOIN_TOKEN = 'fwj_conformance';
const HOUR_MS = 3_600_000;

/** What was heard of one node, and how it is to be treated; tests change it as they go. */
export class Known {
  readonly id: string;
  readonly name: string;
  /** Good at HELLO; the first is the newest. */
  keys: string[];
  readonly joins: JoinRequest[] = [];
  readonly hellos: HelloRequest[] = [];
  readonly beats: Heartbeat[] = [];
  readonly rotations: RotateKeyRequest[] = [];
  readonly rosters: (readonly RosterAgent[])[] = [];
  readonly registrations: RegisterAgentRequest[] = [];
  readonly syncs: SyncRequest[] = [];
  readonly handOvers: HandOverRequest[] = [];
  readonly agents = new Map<string, Agent>();
  /** Receipts that it has published, and under which dedupe ids. */
  readonly receipts: Receipt[] = [];
  readonly receiptIds: string[] = [];
  /** Everything that it has published to ingress, stored or not. */
  readonly packs: { readonly id: string; readonly bytes: Uint8Array }[] = [];
  opened = 0;
  /** Added to the answers. */
  welcome: Partial<HelloResponse> = {};
  news: Partial<HeartbeatReply> = {};
  /** Called first: what they throw is the answer, and HELLO waits for what it gives. */
  onHello: (request: HelloRequest) => unknown = () => {};
  onRotate: (when: 'before' | 'after') => void = () => {};
  onHandOver: (request: HandOverRequest) => void = () => {};
  /** Milliseconds that its next credentials are good for. */
  lifetimeMs = HOUR_MS;
  sync: (request: SyncRequest) => Partial<SyncResponse> = () => ({ full: true, revision: 1 });

  constructor(id: string, name: string, key: string) {
    this.id = id;
    this.name = name;
    this.keys = [key];
  }

  get digest(): number {
    return digestOf([...this.agents.keys()]);
  }
}

export class StandHub implements AsyncDisposable {
  readonly servers: StandServers;
  readonly key = newHubKey();
  readonly nodes = new Map<string, Known>();
  readonly joins: JoinRequest[] = [];
  /** The only version that it speaks; undefined: both. */
  only: 1 | undefined;
  /** False, with no ingress stream: packs are answered by an error. */
  storing = true;
  onJoin: (request: JoinRequest) => void = () => {};
  /** Called with each node that is new. */
  onKnown: (node: Known) => void = () => {};
  address = '';
  #close: () => void = () => {};

  private constructor(servers: StandServers) {
    this.servers = servers;
  }

  static async start(): Promise<StandHub> {
    const servers = await startStandServers();
    await createStreams(servers.nc);
    const hub = new StandHub(servers);
    hub.#listen();
    const { address, close } = await serve(RegistryServiceDefinition, hub.#handlers());
    Object.assign(hub, { address });
    hub.#close = close;
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.servers[Symbol.asyncDispose]();
  }

  /** By its name; throws when it has not joined. */
  node(name: string): Known {
    const node = [...this.nodes.values()].find((known) => known.name === name);
    if (node === undefined) throw new Error(`${name} has not joined`);
    return node;
  }

  nudge(node: Known, nudge: string): void {
    this.servers.nc.publish(
      `fw.v1.peer.${ORG}.${node.id}.registry`,
      PeerFrame.encode(PeerFrame.fromPartial({ nudge })).finish(),
    );
  }

  /** Bytes into the inbox of an agent, whatever they are. */
  putBytes(node: Known, agent: string, bytes: Uint8Array, id = randomBytes(8).toString('hex')) {
    return store(this.servers.nc, `fw.v1.inbox.0.${ORG}.${node.id}.${agent}`, bytes, id);
  }

  put(node: Known, agent: string, entries: readonly InboxEntry[], mark?: InboxPack['mark']) {
    return this.putBytes(node, agent, InboxPack.encode({ entries: [...entries], mark }).finish());
  }

  /** Resolves when the node has acknowledged all that was put into its inbox. */
  async taken(node: Known): Promise<void> {
    await eventually(async () => {
      const info = await api(this.servers.nc, `CONSUMER.INFO.INBOX.node-${node.id}`);
      return info.num_pending === 0 && info.num_ack_pending === 0;
    });
  }

  #listen(): void {
    const { nc } = this.servers;
    const hear = (subject: string, take: (node: Known, message: Msg) => void, at = -1) =>
      nc.subscribe(subject, {
        callback: (_error, message) => {
          const node = this.nodes.get(message.subject.split('.').at(at)!);
          if (node !== undefined) take(node, message);
        },
      });
    hear(`fw.v1.heartbeat.${ORG}.*`, (node, message) => this.#answer(node, message));
    hear(`fw.v1.ingress.0.${ORG}.*`, (node, message) => {
      const { data, headers } = message;
      node.packs.push({ id: headers?.get('Nats-Msg-Id') ?? '', bytes: data.slice() });
      if (this.storing) return;
      const error = { code: 503, err_code: 10_077, description: 'not now' };
      message.respond(JSON.stringify({ type: 'io.nats.jetstream.api.v1.pub_ack_response', error }));
    });
    hear(`fw.v1.receipt.${ORG}.*.*`, (node, { data, headers }) => {
      node.receipts.push(...ReceiptBatch.decode(data).receipts);
      node.receiptIds.push(headers?.get('Nats-Msg-Id') ?? '');
    });
  }

  #answer(node: Known, message: Msg): void {
    const beat = Heartbeat.decode(message.data);
    node.beats.push(beat);
    const said = { brokerTimeUs: Date.now() * 1000, known: true, orgStatus: 'active' };
    const rosterDiffers = this.only === undefined && beat.rosterDigest !== node.digest;
    const reply = HeartbeatReply.fromPartial({ ...said, rosterDiffers, ...node.news } as HeartbeatReply);
    message.respond(HeartbeatReply.encode(reply).finish());
  }

  #handlers(): Handlers<typeof RegistryServiceDefinition> {
    return {
      join: async (request) => this.#join(request),
      challenge: async () => ({ nonce: new Uint8Array(randomBytes(40)) }),
      hello: async (request) => this.#hello(request),
      rotateKey: async (request, token) => this.#rotate(this.#by(token), request),
      openInbox: async (_request, token) => {
        const node = this.#by(token);
        await recreateConsumer(this.servers.nc, ORG, node.id);
        node.opened++;
        return { stream: 'INBOX', consumer: `node-${node.id}` };
      },
      registerAgent: async (request, token) => {
        const node = this.#by(token);
        node.registrations.push(request);
        return { agent: this.agent(node, request.name, request.adapter) };
      },
      deregisterAgent: async ({ agent }, token) => {
        this.#by(token).agents.delete(agent);
        return {};
      },
      syncRoster: async ({ agents }, token) => this.#roster(this.#by(token), agents),
      sync: async (request, token) => {
        const node = this.#by(token);
        node.syncs.push(request);
        return node.sync(request);
      },
      handOver: async (request, token) => {
        const node = this.#by(token);
        node.onHandOver(request);
        node.handOvers.push(request);
        return {};
      },
    };
  }

  #join(request: JoinRequest) {
    this.joins.push(request);
    this.onJoin(request);
    if (request.joinToken !== JOIN_TOKEN)
      throw new Refused(status.UNAUTHENTICATED, { reason: 'JOIN_TOKEN_INVALID' });
    const present = [...this.nodes.values()].find(({ keys }) => keys.includes(request.publicKey));
    const id = present?.id ?? newId('n', request.publicKey);
    if (present === undefined) {
      const node = new Known(id, request.nodeName, request.publicKey);
      this.nodes.set(id, node);
      this.onKnown(node);
    }
    return { node: id, org: ORG, hubKey: this.only === 1 ? '' : this.key.publicKey };
  }

  async #hello(request: HelloRequest): Promise<Partial<HelloResponse>> {
    const node = this.nodes.get(request.node);
    if (node === undefined) throw new Refused(status.NOT_FOUND, { reason: 'NODE_UNKNOWN' });
    node.hellos.push(request);
    await node.onHello(request);
    if (this.only === 1 && request.protocol !== '1') {
      const details = { supported: '1' };
      throw new Refused(status.FAILED_PRECONDITION, { reason: 'PROTOCOL_UNSUPPORTED', details });
    }
    const said = nodeHelloText(request);
    const publicKey = node.keys.find((key) => isSigned(key, said, request.signature));
    if (publicKey === undefined) throw new Refused(status.UNAUTHENTICATED, { reason: 'SIGNATURE_INVALID' });
    const userJwtExpiresAtMs = Date.now() + node.lifetimeMs;
    const first = {
      userJwt: await this.mint(node, userJwtExpiresAtMs, publicKey),
      userJwtExpiresAtMs,
      natsUrls: [this.servers.url],
      nodeToken: node.id,
      nodeTokenExpiresAtMs: Date.now() + HOUR_MS,
      brokerTimeUs: Date.now() * 1000,
      org: ORG,
      nodeName: node.name,
      trust: '{"keys":[]}',
    };
    if (request.protocol === '1') return { ...first, ...node.welcome };
    const text = helloText(node.id, request.challenge, request.nonce);
    const proof = { protocol: 2, hubKey: this.key.publicKey, challengeResponse: this.key.sign(text) };
    const rosterDiffers = request.rosterDigest !== node.digest;
    return { ...first, ...proof, heartbeatMs: 200, livenessMs: 60_000, rosterDiffers, ...node.welcome };
  }

  mint(node: Known, expiresAtMs: number, publicKey = node.keys[0]!): Promise<string> {
    return this.servers.mint({ org: ORG, node: node.id, publicKey, expiresAtMs });
  }

  #rotate(node: Known, request: RotateKeyRequest) {
    node.rotations.push(request);
    node.onRotate('before');
    const text = rotationText(node.id, request.nonce, request.newPublicKey);
    const signed =
      node.keys.some((key) => isSigned(key, text, request.signature)) &&
      isSigned(request.newPublicKey, text, request.newSignature);
    if (!signed) throw new Refused(status.UNAUTHENTICATED, { reason: 'SIGNATURE_INVALID' });
    node.keys = [request.newPublicKey, node.keys[0]!];
    node.onRotate('after');
    return { oldKeyUntilMs: Date.now() + HOUR_MS };
  }

  /** As registered; the same for the same name. */
  agent(node: Known, name: string, adapter = 'mailbox'): Agent {
    const present = [...node.agents.values()].find((agent) => agent.name === name);
    if (present !== undefined) return present;
    const where = {
      node: node.id,
      nodeName: node.name,
      status: 'online',
      registeredAtMs: 1,
      lastSeenAtMs: 1,
    };
    const id = newId('a', `${node.id} ${name} ${node.agents.size}`);
    const agent: Agent = { id, name, adapter, ...where, epoch: 1, profile: undefined, moving: false };
    node.agents.set(id, agent);
    return agent;
  }

  #roster(node: Known, roster: readonly RosterAgent[]) {
    node.rosters.push(roster);
    const outcomes = roster.map(({ id, name, adapter }) => {
      const agent = node.agents.get(id) ?? this.agent(node, name, adapter);
      return { agent, reason: '', message: '', suggestion: '' };
    });
    const kept = new Set(outcomes.map(({ agent }) => agent.id));
    for (const id of node.agents.keys()) if (!kept.has(id)) node.agents.delete(id);
    return { outcomes, rosterDigest: node.digest };
  }

  #by(token: string): Known {
    const node = this.nodes.get(token);
    if (node === undefined) throw new Refused(status.UNAUTHENTICATED, { reason: 'TOKEN_INVALID' });
    return node;
  }
}
