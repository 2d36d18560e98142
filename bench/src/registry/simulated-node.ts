/** A node as the registry sees it: its key, HELLO, its own connection to NATS, its roster and its heartbeats. */

import { randomBytes } from 'node:crypto';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { heartbeatSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import {
  AgentProfile,
  type HelloResponse,
  type RegistryServiceDefinition,
  type RosterAgent,
} from '@fleetwire/gen/registry';
import { createNodeKey, nodeHelloBytes, nodeInboxPrefix, signWithNodeKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import { inParallel } from '../workers/tasks.ts';

export type RegistryClient = RpcClient<typeof RegistryServiceDefinition>;

/** Of the software and of the protocol; the older one where the registry speaks no newer. */
const VERSION = '0.1.0';
const PROTOCOLS = [2, 1];
const PLATFORM = 'linux-x64';
/** How many agents a node registers at a time where there is no roster. */
const SINGLES = 8;
const ABILITIES = [['review', 'typescript'], ['build', 'docker'], ['review', 'rust', 'sql'], []];

export class SimulatedNode {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly org: string;
  readonly #broker: Broker;
  readonly #instance: string;
  readonly #protocol: number;
  #agents = 0;
  #rosterDigest = 0;

  private constructor(id: string, name: string, welcome: HelloResponse, broker: Broker, instance: string) {
    this.id = id;
    this.name = name;
    this.token = welcome.nodeToken;
    this.org = welcome.org;
    this.#broker = broker;
    this.#instance = instance;
    this.#protocol = welcome.protocol || 1;
  }

  /** Joins, says HELLO and connects to NATS with what it gets. */
  static async join(client: RegistryClient, joinToken: string, name: string): Promise<SimulatedNode> {
    const key = createNodeKey();
    const instance = randomBytes(8).toString('hex');
    const { node } = await client.join({ joinToken, nodeName: name, publicKey: key.publicKey });
    const welcome = await greet(client, node, key.seed, name, instance);
    const seed = new TextEncoder().encode(key.seed);
    const broker = await connectBroker({
      urls: welcome.natsUrls,
      name,
      credentials: () => ({ jwt: welcome.userJwt, seed }),
      inboxPrefix: nodeInboxPrefix(node),
      waitMs: 30_000,
      connectTimeoutMs: 10_000,
      // A thousand connections in one process are to be measured, not their pings.
      pingIntervalMs: 30_000,
    });
    return new SimulatedNode(node, name, welcome, broker, instance);
  }

  /** Registers agents `<prefix>-0` and on; false where the registry takes no rosters, and each came by itself. */
  async register(client: RegistryClient, prefix: string, count: number): Promise<boolean> {
    const agents = Array.from({ length: count }, (_, i) => rosterAgent(`${prefix}-${i}`, i));
    this.#agents = count;
    try {
      const { outcomes, rosterDigest } = await client.syncRoster({ agents }, { deadlineMs: 120_000 });
      const refused = outcomes.find((outcome) => outcome.reason !== '');
      if (refused !== undefined) throw new Error(`${this.name}: ${refused.reason} ${refused.message}`);
      this.#rosterDigest = rosterDigest;
      return true;
    } catch (error) {
      if (!(error instanceof FleetwireError && error.kind === 'unimplemented')) throw error;
    }
    await inParallel(agents, SINGLES, async ({ name, adapter, profile }) => {
      await client.registerAgent({ name, adapter, profile }, { deadlineMs: 60_000 });
    });
    return false;
  }

  /** Rejects when nobody answers within 10 s. */
  async beat(): Promise<HeartbeatReply> {
    const said = Heartbeat.fromPartial({
      node: this.id,
      version: VERSION,
      agents: this.#agents,
      credentialsLeftS: 86_400,
      instance: this.#instance,
      rosterDigest: this.#rosterDigest,
      load: 1,
      platform: PLATFORM,
      protocol: this.#protocol,
    });
    const subject = heartbeatSubject.build({ org: this.org, node: this.id });
    return HeartbeatReply.decode(await this.#broker.request(subject, encode(Heartbeat, said), 10_000));
  }
}

function rosterAgent(name: string, i: number): RosterAgent {
  const profile = AgentProfile.fromPartial({
    model: 'bench',
    capabilities: ABILITIES[i % ABILITIES.length]!,
    repo: 'github.com/acme/app',
  });
  return { id: '', name, adapter: 'mailbox', profile };
}

async function greet(
  client: RegistryClient,
  node: string,
  seed: string,
  host: string,
  instance: string,
): Promise<HelloResponse> {
  for (const protocol of PROTOCOLS) {
    const { nonce } = await client.challenge({ node });
    const hello = {
      node,
      nonce,
      protocol: String(protocol),
      version: VERSION,
      platform: PLATFORM,
      protocols: PROTOCOLS,
      challenge: randomBytes(32),
      instance,
      machine: instance,
      host,
      facts: { capabilities: ['bench'], tools: ['git'], cpus: 2, memoryBytes: 8 * 2 ** 30 },
      rosterDigest: 0,
    };
    const signature = signWithNodeKey(seed, nodeHelloBytes(hello));
    try {
      return await client.hello({ ...hello, signature }, { deadlineMs: 60_000 });
    } catch (error) {
      if (!(error instanceof FleetwireError && error.reason === 'PROTOCOL_UNSUPPORTED')) throw error;
    }
  }
  throw new Error('the registry speaks none of our protocols');
}
