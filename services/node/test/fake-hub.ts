/** A hub for tests of the node alone: a real nats-server, a small registry and a router that knows names only. */

import { type Broker, type CoreMessage, connectBroker } from '@fleetwire/broker';
import {
  bootstrapConsumers,
  filters,
  heartbeatSubject,
  inboxSubject,
  nodeConsumer,
  PROTOCOL_VERSIONS,
  peerSubject,
  receiptSubject,
  routerConsumer,
  streamSpecs,
} from '@fleetwire/contract';
import type { OrgState, Revocation } from '@fleetwire/gen/access';
import {
  Envelope,
  Heartbeat,
  HeartbeatReply,
  type InboxEntry,
  InboxPack,
  IngressPack,
  PeerFrame,
  type Receipt,
  ReceiptBatch,
} from '@fleetwire/gen/message';
import {
  type Agent,
  type AgentProfile,
  type HelloRequest,
  type HelloResponse,
  type RegisterAgentRequest,
  RegistryServiceDefinition,
  type RosterAgent,
  type RotateKeyRequest,
  type SyncRequest,
  type SyncResponse,
} from '@fleetwire/gen/registry';
import {
  hubKeyOf,
  nodeHelloBytes,
  type OrgSigning,
  proveHub,
  rotationBytes,
  signingOfOrg,
  verifyNodeSignature,
} from '@fleetwire/identity';
import { FleetwireError, foldName, newId, systemClock } from '@fleetwire/kernel';
import { bindService, type RpcServer, startRpcServer } from '@fleetwire/rpc';
import { silentLog, startTestNats, type TestNats, type TestNatsOptions } from '@fleetwire/testkit';
import { absent, nodeOf, signatureInvalid, unimplemented } from './fake-calls.ts';
import { digestOf, newAgent, registerOne, takeRoster } from './fake-roster.ts';
import { type HubAccounts, startHubAccounts } from './hub-accounts.ts';

export const TEST_ORG = 'o_0000000000000001';
const PARTITION = 0;
const SHARD = 0;

interface KnownNode {
  readonly id: string;
  readonly name: string;
  publicKey: string;
  /** Still good besides. */
  former: string;
}

export interface FakeHubOptions extends TestNatsOptions {
  /** The only version that it speaks, or both; both unless told. */
  readonly protocol?: 1 | 2;
  /** Operator mode, with credentials of nodes that live so long. */
  readonly credentialsMs?: number;
}

/** A key of a hub; `which` tells one from another. */
export function hubSigning(which: string): OrgSigning {
  const issuer = {
    master: Buffer.from(which).toString('base64url'),
    operatorSigningSeed: '',
    fabricAccount: '',
  };
  return signingOfOrg({ own: new Map(), issuer }, TEST_ORG)!;
}

export class FakeHub {
  readonly nats: TestNats;
  readonly broker: Broker;
  readonly agents = new Map<string, Agent>();
  readonly nodes = new Map<string, KnownNode>();
  /** Everything that was published to RECEIPTS. */
  readonly receipts: Receipt[] = [];
  /** Ids of all envelopes in ingress, repetitions too. */
  readonly ingress: string[] = [];
  /** False: ingress is left alone. */
  routing = true;
  /** Each entry is put into the inbox this often, under ids of its own, as a router that was cut off would. */
  copies = 1;
  /** False: the registry does not remember nodes at a heartbeat. */
  known = true;
  /** What heartbeats are told of the org. */
  revocations: Revocation[] = [];
  orgStatus = '';
  /** Of the trust that the next HELLO brings; empty: heartbeats say nothing of it. */
  trustDigest = '';
  /** JSON Web Key Set that HELLO brings. */
  trust = '{"keys":[]}';
  /** What HELLO is refused with. */
  refusing: FleetwireError | undefined;
  /** When it was, in the milliseconds of this process. */
  readonly refusedAtMs: number[] = [];
  hellos = 0;
  /** The newest version that it speaks; 1: as a hub of before. */
  protocol: 1 | 2 = 2;
  /** By which it proves itself in protocol 2; undefined: it has no such key. */
  signing: OrgSigning | undefined = hubSigning('fake hub');
  /** By which it really signs: for one that names a key which it does not have. */
  forging: OrgSigning | undefined;
  /** All HELLOs in full, the refused ones too. */
  readonly helloRequests: HelloRequest[] = [];
  readonly beats: Heartbeat[] = [];
  /** Added to what HELLO and heartbeats are answered. */
  welcome: Partial<HelloResponse> = {};
  news: Partial<HeartbeatReply> = {};
  /** False: heartbeats get no answer. */
  answering = true;
  /** Called before and after a new key is taken; what it throws is the answer. */
  rotating: (when: 'before' | 'after') => void = () => {};
  rotations = 0;
  accounts: HubAccounts | undefined;
  opened = 0;
  /** Each roster that it was told. */
  readonly told: RosterAgent[][] = [];
  /** Resolved before a roster is answered. */
  rosterHeld: Promise<unknown> = Promise.resolve();
  readonly registrations: RegisterAgentRequest[] = [];
  /** What heartbeats are told of the directory; 0: nothing. */
  syncRevision = 0;
  readonly syncs: SyncRequest[] = [];
  /** Undefined: it knows no such call. */
  policies: OrgState | undefined;
  sync: (request: SyncRequest) => Partial<SyncResponse> = () => ({ full: true, revision: this.syncRevision });
  #registry: RpcServer | undefined;
  #address = '';
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();
  #published = 0;

  constructor(nats: TestNats, broker: Broker) {
    this.nats = nats;
    this.broker = broker;
  }

  static async start(options: FakeHubOptions = {}): Promise<FakeHub> {
    const { protocol = 2, credentialsMs, ...plain } = options;
    const accounts =
      credentialsMs === undefined ? undefined : await startHubAccounts(TEST_ORG, credentialsMs);
    const nats = accounts?.nats ?? (await startTestNats(plain));
    const credentials = accounts && (() => accounts.fabric);
    const broker = await connectBroker({ urls: [nats.url], name: 'fake-hub', credentials });
    await broker.streams.ensure(streamSpecs(), 1);
    for (const spec of bootstrapConsumers(1)) await broker.consumers.create(spec);
    const hub = new FakeHub(nats, broker);
    hub.protocol = protocol;
    hub.accounts = accounts;
    if (accounts !== undefined) hub.signing = accounts.signing;
    await hub.startRegistry();
    hub.#listen();
    hub.#loop = hub.#route();
    return hub;
  }

  get registry(): string {
    return this.#address;
  }

  async startRegistry(): Promise<void> {
    const server = await startRpcServer({
      listen: this.#address || '127.0.0.1:0',
      services: [
        bindService(RegistryServiceDefinition, { ...absent(), ...this.#handlers() }, { auth: 'none' }),
      ],
      log: silentLog,
    });
    this.#registry = server;
    this.#address = server.address;
  }

  async stopRegistry(): Promise<void> {
    await this.#registry?.close();
    this.#registry = undefined;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.stopRegistry();
    await this.broker.close();
    await this.#loop;
    await (this.accounts ?? this.nats)[Symbol.asyncDispose]();
  }

  /** Tells a node that there is news. */
  nudge(node: string, why = 'drain', from = 'registry'): void {
    const subject = peerSubject.build({ org: TEST_ORG, to: node, from });
    this.broker.publish(subject, PeerFrame.encode(PeerFrame.fromPartial({ nudge: why })).finish());
  }

  /** Puts entries for one agent into its node's inbox. */
  async put(agent: Agent, entries: readonly InboxEntry[]): Promise<void> {
    const subject = inboxSubject.build({ shard: SHARD, org: TEST_ORG, node: agent.node, agent: agent.id });
    const payload = InboxPack.encode(InboxPack.fromPartial({ entries: [...entries] })).finish();
    await this.broker.store(subject, payload, { msgId: `fake-${++this.#published}` });
  }

  /** Receipts of one message, in the order in which they were published. */
  receiptsOf(id: string): Receipt[] {
    return this.receipts.filter((receipt) => receipt.messageId === id);
  }

  #listen(): void {
    this.broker.subscribe(filters.allReceipts, (message) => {
      if (receiptSubject.parse(message.subject) === undefined) return;
      this.receipts.push(...ReceiptBatch.decode(message.data).receipts);
    });
    this.broker.subscribe(filters.allHeartbeats, (message) => {
      if (this.answering) void this.#answer(message);
    });
  }

  async #answer(message: CoreMessage): Promise<void> {
    const beat = Heartbeat.decode(message.data);
    this.beats.push(beat);
    const { known, revocations, orgStatus, trustDigest } = this;
    const said = { known, revocations, orgStatus, trustDigest };
    const node = this.nodes.get(heartbeatSubject.parse(message.subject)!.node);
    const half = (this.accounts?.lifetimeMs ?? 0) / 2000;
    const minted = node && beat.credentialsLeftS < half ? await this.#mint(node) : undefined;
    const userJwt = minted?.jwt ?? '';
    const news = this.protocol === 1 ? {} : { ...this.#newsFor(beat), ...this.news };
    const reply = HeartbeatReply.fromPartial({
      brokerTimeUs: systemClock.nowUs(),
      userJwt,
      ...said,
      ...news,
    } as HeartbeatReply);
    message.respond(HeartbeatReply.encode(reply).finish());
  }

  #newsFor(beat: Heartbeat): Partial<HeartbeatReply> {
    const rosterDiffers = digestOf(this, beat.node) !== beat.rosterDigest;
    return { rosterDiffers, syncRevision: this.syncRevision };
  }

  async #mint(node: KnownNode): Promise<{ jwt: string; expiresAtMs: number }> {
    return (await this.accounts?.mint(node.id, node.publicKey)) ?? { jwt: '', expiresAtMs: 0 };
  }

  async #route(): Promise<void> {
    const { durable_name } = routerConsumer(PARTITION, 0);
    const session = this.broker.pull('INGRESS', durable_name, { batch: 64 });
    for await (const batch of session) {
      for (const message of batch) {
        for (const envelope of IngressPack.decode(message.data).envelopes) await this.#routeOne(envelope);
        message.ack();
      }
      if (this.#stopping) break;
    }
    await session.stop();
  }

  async #routeOne(encoded: Uint8Array): Promise<void> {
    const envelope = Envelope.decode(encoded);
    this.ingress.push(envelope.id);
    if (envelope.local || !this.routing) return;
    const agent = this.agents.get(foldName(envelope.to.split('@')[0]!));
    if (agent === undefined) return;
    const nowUs = systemClock.nowUs();
    const times = { ingressAtUs: nowUs, ingressSeq: 1, routedAtUs: nowUs, routeEpoch: 1, movedEpoch: 0 };
    const deadlineUs = nowUs + envelope.ttlMs * 1000;
    const entry = { envelope: encoded, recipients: [agent.id], router: 'router-fake', deadlineUs, ...times };
    for (let copy = 0; copy < this.copies; copy++) await this.put(agent, [entry]);
  }

  /** Registers an agent without being asked. */
  newAgent(node: string, name: string, adapter = 'stream', profile?: AgentProfile): Agent {
    return newAgent(this, node, { name, adapter, profile });
  }

  /** As an administrator would. */
  rename(from: string, to: string): void {
    const agent = this.agents.get(foldName(from))!;
    this.agents.delete(foldName(from));
    this.agents.set(foldName(to), { ...agent, name: to });
  }

  #handlers() {
    return {
      join: async (request: { joinToken: string; nodeName: string; publicKey: string }) => {
        if (request.joinToken !== 'join-me')
          throw new FleetwireError('permission_denied', 'JOIN_TOKEN_INVALID', 'no such join token');
        for (const node of this.nodes.values())
          if (node.publicKey === request.publicKey) return { node: node.id, org: TEST_ORG };
        const { nodeName: name, publicKey } = request;
        const node = { id: newId('node'), name, publicKey, former: '' };
        this.nodes.set(node.id, node);
        await this.broker.consumers.create(nodeConsumer(SHARD, TEST_ORG, node.id));
        return { node: node.id, org: TEST_ORG, hubKey: this.#hubKey() };
      },
      challenge: async ({ node }: { node: string }) => ({ nonce: new TextEncoder().encode(node.padEnd(32)) }),
      hello: async (request: HelloRequest) => this.#hello(request),
      rotateKey: async (request: RotateKeyRequest, context: { metadata(name: string): string }) => {
        this.rotating('before');
        const node = this.nodes.get(nodeOf(context))!;
        const { newPublicKey, nonce } = request;
        const bytes = rotationBytes(node.id, nonce, newPublicKey);
        for (const [key, signature] of [
          [node.publicKey, request.signature],
          [newPublicKey, request.newSignature],
        ] as const)
          if (!verifyNodeSignature(key, bytes, signature)) throw signatureInvalid();
        Object.assign(node, { publicKey: newPublicKey, former: node.publicKey });
        this.rotations++;
        this.rotating('after');
        return { oldKeyUntilMs: Date.now() + 60_000 };
      },
      openInbox: async (_request: unknown, context: { metadata(name: string): string }) => {
        const spec = nodeConsumer(SHARD, TEST_ORG, nodeOf(context));
        await this.broker.consumers.recreate(spec);
        this.opened++;
        return { stream: spec.stream, consumer: spec.durable_name };
      },
      syncRoster: async (
        { agents }: { agents: readonly RosterAgent[] },
        context: { metadata(name: string): string },
      ) => {
        if (this.protocol === 1) return unimplemented();
        this.told.push([...agents]);
        await this.rosterHeld;
        return takeRoster(this, nodeOf(context), agents);
      },
      sync: async (request: SyncRequest) => {
        if (this.protocol === 1) return unimplemented();
        this.syncs.push(request);
        return this.sync(request);
      },
      registerAgent: async (request: RegisterAgentRequest, context: { metadata(name: string): string }) => {
        this.registrations.push(request);
        return { agent: registerOne(this, nodeOf(context), request) };
      },
      deregisterAgent: async (request: { agent: string }) => {
        for (const [name, agent] of this.agents) if (agent.id === request.agent) this.agents.delete(name);
        return {};
      },
      nodePolicies: async () => (this.policies === undefined ? unimplemented() : { state: this.policies }),
    };
  }

  #hubKey(): string {
    return this.protocol === 1 || this.signing === undefined ? '' : hubKeyOf(this.signing);
  }

  async #hello(request: HelloRequest): Promise<Partial<HelloResponse>> {
    this.helloRequests.push(request);
    const spoken = this.protocol === 1 ? [1] : PROTOCOL_VERSIONS;
    if (!spoken.includes(Number(request.protocol)))
      throw new FleetwireError('failed_precondition', 'PROTOCOL_UNSUPPORTED', 'not spoken here');
    if (this.refusing !== undefined) {
      this.refusedAtMs.push(performance.now());
      throw this.refusing;
    }
    const node = this.nodes.get(request.node);
    const signed = (key: string) => verifyNodeSignature(key, nodeHelloBytes(request), request.signature);
    if (node === undefined || !(signed(node.publicKey) || signed(node.former))) throw signatureInvalid();
    this.hellos++;
    this.known = true;
    const forever = Date.now() + 3_600_000;
    const { jwt: userJwt, expiresAtMs: userJwtExpiresAtMs } = await this.#mint(node);
    return {
      userJwt,
      userJwtExpiresAtMs,
      natsUrls: [this.nats.url],
      partition: PARTITION,
      shard: SHARD,
      nodeToken: request.node,
      nodeTokenExpiresAtMs: forever,
      brokerTimeUs: systemClock.nowUs(),
      org: TEST_ORG,
      nodeName: node.name,
      trust: this.trust,
      ...(request.protocol === '1' ? {} : this.#secondWelcome(request)),
    };
  }

  #secondWelcome({ node, challenge, nonce }: HelloRequest): Partial<HelloResponse> {
    const signing = this.forging ?? this.signing;
    const proof = signing && proveHub(signing, { node, challenge, nonce });
    const proven = proof === undefined ? {} : { challengeResponse: proof, hubKey: this.#hubKey() };
    return { protocol: 2, ...proven, ...this.welcome };
  }
}
