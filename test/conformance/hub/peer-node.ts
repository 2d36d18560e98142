/** A node as docs/protocol.md describes one: what a hub is driven by. */

import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import {
  Envelope,
  Heartbeat,
  HeartbeatReply,
  InboxPack,
  IngressPack,
  PeerFrame,
  type Receipt,
  ReceiptBatch,
} from '@fleetwire/gen/message';
import {
  type Agent,
  HelloRequest,
  type HelloResponse,
  type RegisterAgentRequest,
  RegistryServiceDefinition,
  type RosterAgent,
} from '@fleetwire/gen/registry';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import {
  digestOf,
  helloText,
  isSigned,
  type Key,
  newMessageId,
  newNodeKey,
  nodeHelloText,
} from '../wire/keys.ts';
import { open, pull, type Stored, store } from '../wire/nats.ts';
import { Peer } from '../wire/rpc.ts';

export type Registry = Peer<typeof RegistryServiceDefinition>;

export const openRegistry = (address: string): Registry => new Peer(RegistryServiceDefinition, address);

export class PeerNode {
  readonly registry: Registry;
  readonly name: string;
  key: Key = newNodeKey();
  id = '';
  org = '';
  hubKey = '';
  instance = randomBytes(8).toString('hex');
  machine = randomBytes(16).toString('hex');
  readonly agents = new Map<string, Agent>();
  readonly receipts: Receipt[] = [];
  readonly frames: { from: string; nudge: string }[] = [];
  welcome: HelloResponse | undefined;
  #nc: NatsConnection | undefined;

  constructor(registry: Registry, name: string) {
    this.registry = registry;
    this.name = name;
  }

  async join(joinToken: string): Promise<this> {
    const request = { joinToken, nodeName: this.name, publicKey: this.key.publicKey };
    const { node, org, hubKey } = await this.registry.calls.join(request);
    Object.assign(this, { id: node, org, hubKey });
    return this;
  }

  async nonce(node = this.id): Promise<Uint8Array> {
    return (await this.registry.calls.challenge({ node })).nonce;
  }

  /** A HELLO of version 2; `o` in place of what is right. */
  async helloRequest(o: Partial<HelloRequest> = {}): Promise<HelloRequest> {
    const nonce = o.nonce ?? (await this.nonce());
    const said = HelloRequest.fromPartial({
      node: this.id,
      nonce,
      protocol: '2',
      protocols: [2, 1],
      challenge: new Uint8Array(randomBytes(32)),
      version: '0.0.0-conformance',
      platform: 'test-none',
      instance: this.instance,
      machine: this.machine,
      host: `host-of-${this.name}`,
      facts: { capabilities: ['gpu'], tools: ['git'], cpus: 2, memoryBytes: 1024 },
      rosterDigest: this.digest,
      ...o,
    } as HelloRequest);
    return { ...said, signature: o.signature ?? this.key.sign(nodeHelloText(said)) };
  }

  /** Says HELLO, and fails unless the hub proves itself. */
  async hello(o: Partial<HelloRequest> = {}): Promise<HelloResponse> {
    const request = await this.helloRequest(o);
    const welcome = await this.registry.calls.hello(request);
    if (welcome.protocol >= 2) {
      assert.equal(welcome.hubKey, this.hubKey, 'the hub key that the join brought');
      const text = helloText(this.id, request.challenge, request.nonce);
      assert.ok(isSigned(this.hubKey, text, welcome.challengeResponse), 'the hub proves itself');
    }
    this.welcome = welcome;
    return welcome;
  }

  /** Says HELLO and connects as it was told to. */
  async connect(o: Partial<HelloRequest> = {}): Promise<this> {
    const { userJwt, natsUrls } = await this.hello(o);
    const inboxPrefix = `_INBOX_${this.id}`;
    const nc = await open({ url: natsUrls[0]!, jwt: userJwt, key: this.key, inboxPrefix });
    const { org, id } = this;
    nc.subscribe(`fw.v1.receipt.${org}.${id}.*`, {
      callback: (error, { data }) => {
        if (error === null) this.receipts.push(...ReceiptBatch.decode(data).receipts);
      },
    });
    nc.subscribe(`fw.v1.peer.${org}.${id}.*`, {
      callback: (error, { data, subject }) => {
        if (error === null)
          this.frames.push({ from: subject.split('.').at(-1)!, nudge: PeerFrame.decode(data).nudge });
      },
    });
    await nc.flush();
    await this.#nc?.close();
    this.#nc = nc;
    return this;
  }

  get nc(): NatsConnection {
    return this.#nc!;
  }

  get token(): string {
    return this.welcome!.nodeToken;
  }

  get digest(): number {
    return digestOf([...this.agents.keys()]);
  }

  async beat(o: Partial<Heartbeat> = {}): Promise<HeartbeatReply> {
    const beat = Heartbeat.fromPartial({
      node: this.id,
      version: '0.0.0-conformance',
      agents: this.agents.size,
      credentialsLeftS: 86_400,
      instance: this.instance,
      rosterDigest: this.digest,
      platform: 'test-none',
      protocol: 2,
      ...o,
    });
    const subject = `fw.v1.heartbeat.${this.org}.${this.id}`;
    const answer = await this.nc.request(subject, Heartbeat.encode(beat).finish(), { timeout: 10_000 });
    return HeartbeatReply.decode(answer.data);
  }

  async register(name: string, o: Partial<RegisterAgentRequest> = {}): Promise<Agent> {
    const request = { name, adapter: 'mailbox', ...o };
    const { agent } = await this.registry.calls.registerAgent(request, { token: this.token });
    this.agents.set(agent!.id, agent!);
    return agent!;
  }

  async syncRoster(agents: readonly Partial<RosterAgent>[]) {
    const roster = agents.map((agent) => ({
      id: '',
      name: '',
      adapter: 'mailbox',
      profile: undefined,
      ...agent,
    }));
    return this.registry.calls.syncRoster({ agents: roster }, { token: this.token });
  }

  envelope(from: Agent, to: string, body: string, o: Partial<Envelope> = {}): Envelope {
    return Envelope.fromPartial({
      id: newMessageId(),
      org: this.org,
      fromAgent: from.id,
      fromName: from.name,
      fromNode: this.id,
      to,
      acceptedAtUs: this.welcome!.brokerTimeUs,
      ttlMs: 300_000,
      body: new TextEncoder().encode(body),
      ...o,
    } as Envelope);
  }

  /** Publishes one pack. */
  send(envelopes: readonly Envelope[], id = `${this.id}-${newMessageId()}`): Promise<Stored> {
    const pack = { envelopes: envelopes.map((envelope) => Envelope.encode(envelope).finish()) };
    return this.publish(IngressPack.encode(pack).finish(), id);
  }

  publish(bytes: Uint8Array, id: string): Promise<Stored> {
    const { partition } = this.welcome!;
    return store(this.nc, `fw.v1.ingress.${partition}.${this.org}.${this.id}`, bytes, id);
  }

  async openInbox(): Promise<void> {
    const opened = await this.registry.calls.openInbox({}, { token: this.token });
    assert.deepEqual(opened, { stream: 'INBOX', consumer: `node-${this.id}` });
  }

  /** The next pack of the inbox, with what is to be acknowledged. */
  async next(): Promise<{ message: Msg; pack: InboxPack } | undefined> {
    const message = await pull(this.nc, `node-${this.id}`);
    return message && { message, pack: InboxPack.decode(message.data) };
  }

  /** Publishes receipts to whoever sent the messages. */
  tell(toNode: string, receipts: readonly Partial<Receipt>[], id = newMessageId()): Promise<Stored> {
    const bytes = ReceiptBatch.encode(ReceiptBatch.fromPartial({ receipts: receipts as Receipt[] })).finish();
    return store(this.nc, `fw.v1.receipt.${this.org}.${toNode}.${this.id}`, bytes, id);
  }

  async close(): Promise<void> {
    await this.#nc?.close();
  }
}
