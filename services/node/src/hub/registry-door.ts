/** The registry as this node sees it: joining, proving who it is, opening its inbox, registering its agents. */

import { randomBytes } from 'node:crypto';
import { PROTOCOL_VERSION } from '@fleetwire/contract';
import type { Moving } from '@fleetwire/gen/message';
import type {
  Agent,
  HandOverRequest,
  HelloResponse,
  RegistryServiceDefinition,
} from '@fleetwire/gen/registry';
import { createNodeKey, signWithNodeKey } from '@fleetwire/identity';
import { backoffMs, FleetwireError, pause } from '@fleetwire/kernel';
import type { RpcClient, RpcClientOptions } from '@fleetwire/rpc';
import {
  type NodeIdentity,
  readIdentity,
  type Welcome,
  writeIdentity,
  writeWelcome,
} from './identity-file.ts';
import type { NodeClock } from './node-clock.ts';

export type RegistryClient = RpcClient<typeof RegistryServiceDefinition>;
export type ClientMaker = (options: RpcClientOptions) => RegistryClient;

export interface JoinOptions {
  readonly dir: string;
  readonly name: string;
  readonly joinToken: string;
  readonly registry: string;
  readonly waitMs: number;
  readonly client: ClientMaker;
  readonly signal?: AbortSignal;
}

const RETRY = { initialMs: 200, maxMs: 5000 } as const;

/**
 * Who this node is: from its folder, or by joining with a join token. The key is on the disk before it is used, so that
 * a repeated join is the same one. Throws NODE_NOT_JOINED without a token, or what the registry says.
 */
export async function joinOnce(options: JoinOptions): Promise<NodeIdentity> {
  const { dir, joinToken } = options;
  const present = readIdentity(dir);
  if (present !== undefined && present.node !== '') return present;
  if (joinToken === '' || options.registry === '') {
    throw new FleetwireError('failed_precondition', 'NODE_NOT_JOINED', 'this machine belongs to no org yet', {
      help: 'Set FLEETWIRE_NODE_REGISTRY and FLEETWIRE_NODE_JOIN_TOKEN, or start it by `fleetwire node start`.',
    });
  }
  const draft = { ...(present ?? freshIdentity()), name: options.name, registry: options.registry };
  writeIdentity(dir, draft);
  const client = options.client({ address: options.registry, token: () => undefined });
  const request = { joinToken, nodeName: options.name, publicKey: draft.publicKey };
  const joined = await untilReachable(() => client.join(request), options.waitMs, options.signal);
  const identity = { ...draft, node: joined.node, org: joined.org };
  writeIdentity(dir, identity);
  return identity;
}

function freshIdentity(): NodeIdentity {
  const agentSecret = randomBytes(32).toString('base64url');
  return { node: '', org: '', name: '', registry: '', ...createNodeKey(), agentSecret };
}

async function untilReachable<T>(call: () => Promise<T>, waitMs: number, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + waitMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const away = error instanceof FleetwireError && error.kind === 'unavailable';
      if (!away || signal?.aborted || performance.now() >= until) throw error;
      await pause(backoffMs(RETRY, attempt), signal);
    }
  }
}

export interface DoorOptions {
  readonly dir: string;
  readonly identity: NodeIdentity;
  readonly registry: string;
  readonly version: string;
  readonly clock: NodeClock;
  readonly client: ClientMaker;
  /** Told of the agents that have moved away, before a WELCOME counts. */
  moving(list: readonly Moving[]): Promise<void>;
}

/** Between two HELLOs for a token by a key that is not known here, so that made-up ones cost little. */
const TRUST_MS = 10_000;
/** Milliseconds before its end at which the node's token is not used any more. */
const TOKEN_MARGIN_MS = 30_000;

export class RegistryDoor {
  readonly #options: DoorOptions;
  readonly #client: RegistryClient;
  #welcome: Welcome | undefined;
  #hello: Promise<Welcome> | undefined;
  #soughtTrustAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: DoorOptions, remembered: Welcome | undefined) {
    this.#options = options;
    this.#welcome = remembered;
    this.#client = options.client({ address: options.registry, token: () => this.#welcome?.nodeToken });
  }

  /** What the registry last said; undefined before the first HELLO of this node's life. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** PEER_HELLO: proves who this node is; one at a time. */
  hello(): Promise<Welcome> {
    this.#hello ??= this.#sayHello().finally(() => {
      this.#hello = undefined;
    });
    return this.#hello;
  }

  /** Says HELLO for the sake of the trust that comes with it, not more often than every TRUST_MS. Never rejects. */
  async renewTrust(): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#soughtTrustAtMs < TRUST_MS) return;
    this.#soughtTrustAtMs = now;
    await this.hello().catch(() => undefined); // what is known serves on
  }

  /** New NATS credentials that came with a heartbeat. */
  renewed(userJwt: string): void {
    if (this.#welcome === undefined) return;
    this.#keep({ ...this.#welcome, userJwt, userJwtExpiresAtMs: jwtExpiryMs(userJwt) });
  }

  async openInbox(): Promise<void> {
    await this.#withToken(() => this.#client.openInbox({}));
  }

  async registerAgent(name: string, adapter: string): Promise<Agent> {
    const { agent } = await this.#withToken(() => this.#client.registerAgent({ name, adapter }));
    if (agent === undefined)
      throw new FleetwireError('internal', 'REGISTRY_ANSWER', 'no agent in the answer');
    return agent;
  }

  async handOver(request: HandOverRequest): Promise<void> {
    await this.#withToken(() => this.#client.handOver(request));
  }

  async deregisterAgent(agent: string): Promise<void> {
    try {
      await this.#withToken(() => this.#client.deregisterAgent({ agent }));
    } catch (error) {
      if (!(error instanceof FleetwireError && error.kind === 'not_found')) throw error;
    }
  }

  async #withToken<T>(call: () => Promise<T>): Promise<T> {
    const left = (this.#welcome?.nodeTokenExpiresAtMs ?? 0) - this.#options.clock.nowUs() / 1000;
    if (left < TOKEN_MARGIN_MS) await this.hello();
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof FleetwireError && error.kind === 'unauthenticated')) throw error;
      await this.hello();
      return call();
    }
  }

  async #sayHello(): Promise<Welcome> {
    const { identity, version, clock } = this.#options;
    const { nonce } = await this.#client.challenge({ node: identity.node });
    const request = {
      node: identity.node,
      nonce,
      signature: signWithNodeKey(identity.seed, nonce),
      protocol: String(PROTOCOL_VERSION),
      version,
      platform: `${process.platform}-${process.arch}`,
    };
    const asked = clock.monotonicMs();
    const answer = await this.#client.hello(request);
    clock.learn(answer.brokerTimeUs, clock.monotonicMs() - asked);
    await this.#options.moving(answer.moving);
    return this.#keep(welcomeOf(answer));
  }

  #keep(welcome: Welcome): Welcome {
    this.#welcome = welcome;
    writeWelcome(this.#options.dir, welcome);
    return welcome;
  }
}

function welcomeOf(answer: HelloResponse): Welcome {
  const { userJwt, userJwtExpiresAtMs, natsUrls, partition, shard, nodeToken, org, nodeName, trust } = answer;
  const { nodeTokenExpiresAtMs } = answer;
  const hub = { userJwt, userJwtExpiresAtMs, natsUrls, partition, shard };
  return { ...hub, nodeToken, nodeTokenExpiresAtMs, org, nodeName, trust };
}

/** When a JWT ends, milliseconds since the epoch; 0: it does not say. Its signature is the server's business. */
function jwtExpiryMs(jwt: string): number {
  try {
    const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as {
      exp?: number;
    };
    return (claims.exp ?? 0) * 1000;
  } catch {
    return 0;
  }
}
