/** The registry as this node sees it: joining, proving who it is, opening its inbox, registering its agents. */

import { randomBytes } from 'node:crypto';
import type { Moving } from '@fleetwire/gen/message';
import type {
  Agent,
  AgentHomesRequest,
  AgentHomesResponse,
  HandOverRequest,
  NodePoliciesRequest,
  NodePoliciesResponse,
  RegisterAgentRequest,
  RegistryServiceDefinition,
  RosterAgent,
  RosterOutcome,
  SyncRequest,
  SyncResponse,
} from '@fleetwire/gen/registry';
import { createNodeKey, rotationBytes, signWithNodeKey } from '@fleetwire/identity';
import { backoffMs, FleetwireError, pause } from '@fleetwire/kernel';
import type { RpcClient, RpcClientOptions } from '@fleetwire/rpc';
import { type Greeting, type HelloParts, sayHello } from './hello.ts';
import {
  type NodeIdentity,
  type NodeKeyPair,
  readIdentity,
  type Welcome,
  writeIdentity,
  writeWelcome,
} from './identity-file.ts';
import { isAway } from './refused.ts';

export type RegistryClient = RpcClient<typeof RegistryServiceDefinition>;
export type ClientMaker = (options: RpcClientOptions) => RegistryClient;

export interface JoinOptions {
  readonly dir: string;
  readonly name: string;
  readonly joinToken: string;
  readonly registry: string;
  readonly waitMs: number;
  readonly client: ClientMaker;
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
  const joined = await untilReachable(() => client.join(request), options.waitMs);
  const hub = joined.hubKey === '' ? {} : { hubKey: joined.hubKey };
  const identity = { ...draft, node: joined.node, org: joined.org, ...hub };
  writeIdentity(dir, identity);
  return identity;
}

function freshIdentity(): NodeIdentity {
  const agentSecret = randomBytes(32).toString('base64url');
  return { node: '', org: '', name: '', registry: '', ...createNodeKey(), agentSecret };
}

async function untilReachable<T>(call: () => Promise<T>, waitMs: number): Promise<T> {
  const until = performance.now() + waitMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const leftMs = until - performance.now();
      if (!isAway(error) || leftMs <= 0) throw error;
      await pause(Math.min(backoffMs(RETRY, attempt), leftMs));
    }
  }
}

export interface DoorOptions extends HelloParts {
  readonly dir: string;
  /** Told of the agents that have moved away, before a WELCOME counts. */
  moving?(list: readonly Moving[]): Promise<void>;
  readonly registry: string;
  readonly client: ClientMaker;
}

/** By which a connection to NATS is opened; without a JWT on a plain server. */
export interface NatsCredentials {
  readonly jwt: string;
  /** 0: without end. */
  readonly expiresAtMs: number;
  readonly key: NodeKeyPair;
}

/** Between two HELLOs for a token by a key that is not known here, so that made-up ones cost little. */
const TRUST_MS = 10_000;
/** How long no HELLO is said after HELLO_TOO_OFTEN where the registry does not say, and at most. */
const QUIET_MS = 1000;
const QUIET_MAX_MS = 60_000;
/** Milliseconds before its end at which the node's token is not used any more. */
const TOKEN_MARGIN_MS = 30_000;

export class RegistryDoor {
  readonly #options: DoorOptions;
  readonly #client: RegistryClient;
  #welcome: Welcome | undefined;
  #hello: Promise<Greeting> | undefined;
  /** The registry has had enough HELLOs until then. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #tooOften: FleetwireError | undefined;
  #greeted = false;
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

  /** The registry has taken a HELLO of this process: it knows which of several that use this identity has it. */
  get greeted(): boolean {
    return this.#greeted;
  }

  /** This node is to take no new agents, as far as the registry has said. */
  get draining(): boolean {
    return this.#welcome?.draining ?? false;
  }

  /** PEER_HELLO: proves who this node is; one at a time. Rejects at once while the registry wants to hear none. */
  hello(): Promise<Greeting> {
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

  /** The newest; undefined before the first HELLO. */
  credentials(): NatsCredentials | undefined {
    if (this.#welcome === undefined) return undefined;
    const { userJwt: jwt, userJwtExpiresAtMs: expiresAtMs, publicKey } = this.#welcome;
    const { keys } = this.#options;
    const key = keys.withPublicKey(jwt === '' ? publicKey : jwtClaims(jwt).subject) ?? keys.current;
    return { jwt, expiresAtMs, key };
  }

  /** What an answered heartbeat brought: new NATS credentials, or '', and whether to drain. */
  renewed(userJwt: string, draining: boolean): void {
    const before = this.#welcome;
    if (before === undefined) return;
    const { subject, expiresAtMs } = jwtClaims(userJwt);
    const usable = this.#options.keys.withPublicKey(subject) !== undefined;
    const jwt = usable ? { userJwt, userJwtExpiresAtMs: expiresAtMs } : {};
    if (usable || draining !== before.draining) this.#keep({ ...before, ...jwt, draining });
  }

  /** Brings the next key to the registry, signed by both. From then on HELLO is taken by it. */
  async rotateKey(next: NodeKeyPair): Promise<void> {
    const { node, keys } = this.#options;
    const { nonce } = await this.#client.challenge({ node });
    const bytes = rotationBytes(node, nonce, next.publicKey);
    const signatures = {
      signature: signWithNodeKey(keys.current.seed, bytes),
      newSignature: signWithNodeKey(next.seed, bytes),
    };
    const request = { nonce, newPublicKey: next.publicKey, ...signatures };
    await this.#withToken(() => this.#client.rotateKey(request));
  }

  async openInbox(): Promise<void> {
    await this.#withToken(() => this.#client.openInbox({}));
  }

  async registerAgent(request: RegisterAgentRequest): Promise<Agent> {
    const { agent } = await this.#withToken(() => this.#client.registerAgent(request));
    if (agent === undefined)
      throw new FleetwireError('internal', 'REGISTRY_ANSWER', 'no agent in the answer');
    return agent;
  }

  /** What became of each, in their order. `unimplemented` from a hub of protocol 1. */
  /** `removed`: ids of agents that this node had. */
  async syncRoster(agents: RosterAgent[], removed: string[]): Promise<RosterOutcome[]> {
    const { outcomes } = await this.#withToken(() => this.#client.syncRoster({ agents, removed }));
    return outcomes;
  }

  /** One page of what the hub knows of the org. `unimplemented` from a hub of protocol 1. */
  sync(request: SyncRequest): Promise<SyncResponse> {
    return this.#withToken(() => this.#client.sync(request));
  }

  /** What the org's policies say, if that is newer. `unimplemented` from a hub that does not tell. */
  policies(request: NodePoliciesRequest): Promise<NodePoliciesResponse> {
    return this.#withToken(() => this.#client.nodePolicies(request));
  }

  /** Where agents of the org live and have lived. `unimplemented` from a hub that does not tell. */
  agentHomes(request: AgentHomesRequest): Promise<AgentHomesResponse> {
    return this.#withToken(() => this.#client.agentHomes(request));
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

  async #sayHello(): Promise<Greeting> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#tooOften !== undefined && nowMs < this.#quietUntilMs) throw this.#tooOften;
    try {
      const greeting = await sayHello(this.#client, this.#options);
      await this.#options.moving?.(greeting.moving);
      this.#greeted = true;
      this.#keep(greeting.welcome);
      return greeting;
    } catch (error) {
      if (error instanceof FleetwireError && error.reason === 'HELLO_TOO_OFTEN') {
        this.#tooOften = error;
        this.#quietUntilMs = nowMs + Math.min(error.retryAfterMs ?? QUIET_MS, QUIET_MAX_MS);
      }
      throw error;
    }
  }

  #keep(welcome: Welcome): void {
    this.#welcome = welcome;
    writeWelcome(this.#options.dir, welcome);
  }
}

/** Whose it is and when it ends, milliseconds since the epoch; '' and 0 where it does not say. Servers check its signature. */
function jwtClaims(jwt: string): { readonly subject: string; readonly expiresAtMs: number } {
  try {
    const { exp = 0, sub = '' } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
    return { subject: String(sub), expiresAtMs: Number(exp) * 1000 };
  } catch {
    return { subject: '', expiresAtMs: 0 };
  }
}
