/** PEER_HELLO and PEER_WELCOME: each side proves who it is, and both learn what version they speak. */

import { randomBytes } from 'node:crypto';
import { PROTOCOL_VERSION, PROTOCOL_VERSIONS } from '@fleetwire/contract';
import type { Moving } from '@fleetwire/gen/message';
import type { HelloResponse, RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { nodeHelloBytes, signWithNodeKey, verifyHub } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import type { NodeKeyPair, Welcome } from './identity-file.ts';
import type { MachineFacts } from './machine-facts.ts';
import type { NodeClock } from './node-clock.ts';
import type { NodeKeys } from './node-keys.ts';
import { hubUnproven } from './refused.ts';

/** What a node says of itself. */
export interface NodeSelf {
  readonly version: string;
  /** Random, of this start of the process. */
  readonly instance: string;
  /** See `machineDigest`. */
  readonly machine: string;
  readonly host: string;
  readonly facts: MachineFacts;
  /** See `rosterDigest` in libs/identity. */
  rosterDigest(): number;
}

export interface HelloParts {
  readonly node: string;
  readonly keys: NodeKeys;
  readonly clock: NodeClock;
  readonly self: NodeSelf;
}

/** What WELCOME brings, with what is only news. */
export interface Greeting {
  readonly welcome: Welcome;
  /** Agents that have moved away and whose mail is to be handed over. */
  readonly moving: readonly Moving[];
  readonly rosterDiffers: boolean;
}

type Client = Pick<RpcClient<typeof RegistryServiceDefinition>, 'challenge' | 'hello'>;

/** As in <os>-<arch> of Node.js. */
export const PLATFORM = `${process.platform}-${process.arch}`;
const CHALLENGE_BYTES = 32;
/** How the texts of the protocol that keys sign begin: a nonce that did would make HELLO sign one of them. */
const SIGNED_TEXT = 'fleetwire ';
/** What a hub says that does not know this key: another one may be the right one. */
const OTHER_KEY: readonly string[] = ['SIGNATURE_INVALID', 'KEY_RETIRED'];

/**
 * Says HELLO with each key that may be the one. Rejects with what the registry says, or HUB_UNPROVEN when the hub is not the
 * one that this node believes: then nothing it said counts.
 */
export async function sayHello(client: Client, parts: HelloParts): Promise<Greeting> {
  let refusal: unknown;
  for (const key of parts.keys.inOrder()) {
    try {
      return await helloBy(client, parts, key);
    } catch (error) {
      if (!(error instanceof FleetwireError && OTHER_KEY.includes(error.reason))) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

async function helloBy(client: Client, parts: HelloParts, key: NodeKeyPair): Promise<Greeting> {
  try {
    return await exchange(client, parts, key, PROTOCOL_VERSION);
  } catch (error) {
    if (!(error instanceof FleetwireError && error.reason === 'PROTOCOL_UNSUPPORTED')) throw error;
    if (parts.keys.hubKey !== '') throw hubUnproven('it does not speak protocol 2, as it did before', error);
    return await exchange(client, parts, key, 1);
  }
}

async function exchange(
  client: Client,
  parts: HelloParts,
  key: NodeKeyPair,
  protocol: number,
): Promise<Greeting> {
  const { node, clock, self } = parts;
  const { nonce } = await client.challenge({ node });
  if (Buffer.from(nonce).toString('latin1').startsWith(SIGNED_TEXT))
    throw hubUnproven('it asks for a signature over a text of the protocol');
  const challenge = new Uint8Array(randomBytes(CHALLENGE_BYTES));
  const facts = self.facts.current();
  const { version, instance, machine, host } = self;
  const first = { node, nonce, protocol: String(protocol), version, platform: PLATFORM };
  const second = {
    protocols: [...PROTOCOL_VERSIONS],
    challenge,
    instance,
    machine,
    host,
    facts,
    rosterDigest: self.rosterDigest(),
  };
  const signature = signWithNodeKey(key.seed, nodeHelloBytes({ ...first, ...second }));
  const asked = clock.monotonicMs();
  const answer = await client.hello({ ...first, ...(protocol === 1 ? {} : second), signature });
  checkProof(parts, answer, challenge, nonce);
  clock.learn(answer.brokerTimeUs, clock.monotonicMs() - asked);
  if (answer.protocol >= 2) self.facts.told(facts);
  return greetingOf(answer, key);
}

/** Pins the key of the first hub that proves itself. Throws HUB_UNPROVEN. */
function checkProof(
  parts: HelloParts,
  answer: HelloResponse,
  challenge: Uint8Array,
  nonce: Uint8Array,
): void {
  const { keys, node } = parts;
  const { hubKey, challengeResponse } = answer;
  if (answer.protocol < 2 || hubKey === '') {
    if (keys.hubKey !== '') throw hubUnproven('it does not say who it is, as it did before');
    return;
  }
  if (keys.hubKey !== '' && keys.hubKey !== hubKey) throw hubUnproven('it has another key than before');
  if (!verifyHub(hubKey, { node, challenge, nonce }, challengeResponse))
    throw hubUnproven('it does not hold the key that it names');
  if (keys.hubKey === '') keys.pin(hubKey);
}

function greetingOf(answer: HelloResponse, { publicKey }: NodeKeyPair): Greeting {
  const { userJwt, userJwtExpiresAtMs, natsUrls, partition, shard, nodeToken, org, nodeName, trust } = answer;
  const { nodeTokenExpiresAtMs, heartbeatMs, livenessMs, draining, moving, rosterDiffers } = answer;
  const hub = { userJwt, userJwtExpiresAtMs, natsUrls, partition, shard };
  const terms = { publicKey, protocol: answer.protocol || 1, heartbeatMs, livenessMs, draining };
  const welcome = { ...hub, nodeToken, nodeTokenExpiresAtMs, org, nodeName, trust, ...terms };
  return { welcome, moving, rosterDiffers };
}
