/** Challenge and Hello: a node and its hub prove to each other who they are, and the node gets what it needs to work. */

import {
  type ChallengeRequest,
  type ChallengeResponse,
  HelloRequest,
  HelloResponse,
} from '@fleetwire/gen/registry';
import { hubKeyOf, nodeHelloBytes, proveHub, verifyNodeSignature } from '@fleetwire/identity';
import { FleetwireError, isId, nowMs } from '@fleetwire/kernel';
import { checkNonce, makeNonce, useNonce } from '../domain/challenge.ts';
import {
  checkProtocol,
  helloTooOften,
  keyRetired,
  nodeRemoved,
  nodeUnknown,
  ownerDeparted,
  signatureInvalid,
} from '../domain/errors.ts';
import { cleaned, cleanedFacts } from '../domain/node-facts.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { NodeRow } from '../store/entities.ts';
import { takeIdentity } from './identity-claims.ts';
import { tellPresence } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

const CHALLENGE_BYTES = 32;
const MOVING_MAX = 1000;

/** Says nothing about whether the node exists, and costs no query. */
export function challenge(parts: RegistryParts, request: ChallengeRequest): ChallengeResponse {
  const expiresAtMs = nowMs(parts.clock) + parts.config.challenge_ttl_s * 1000;
  return { nonce: makeNonce(parts.secret, request.node, expiresAtMs, parts.random) };
}

export async function hello(parts: RegistryParts, said: HelloRequest): Promise<HelloResponse> {
  const now = nowMs(parts.clock);
  const request = said.protocol === '1' ? firstOf(said) : said;
  const protocol = checkProtocol(request.protocol, request.protocols);
  checkNonce(parts.secret, request.node, request.nonce, now);
  checkChallenge(request.challenge);
  const { node, publicKey } = await proven(parts, request, now);
  // One that was listened to takes none of those that the node may say.
  useNonce(node.usedNonces, request.nonce, now);
  requireOpen(parts.orgs, node.org);
  if (node.shutOut !== '') throw ownerDeparted();
  admitHello(parts, node, request.machine);
  return welcome(parts, request, { ...node, publicKey }, protocol);
}

/** What is not of protocol 1 is not signed in it. */
function firstOf({ node, nonce, signature, protocol, version, platform }: HelloRequest): HelloRequest {
  return HelloRequest.fromPartial({ node, nonce, signature, protocol, version, platform });
}

/** The node, and which of its keys has signed. */
async function proven(
  parts: RegistryParts,
  request: HelloRequest,
  now: number,
): Promise<{ node: NodeRow; publicKey: string }> {
  const { node: id, signature } = request;
  if (!isId('node', id)) throw nodeUnknown();
  const bytes = nodeHelloBytes(request);
  const node = await parts.known.fresh(id);
  const signedBy = (key: string | null | undefined) => !!key && verifyNodeSignature(key, bytes, signature);
  if (node !== null && signedBy(node.publicKey)) return { node, publicKey: node.publicKey };
  if (node !== null && signedBy(node.oldPublicKey)) {
    if (node.oldKeyUntilMs <= now) throw keyRetired();
    return { node, publicKey: node.oldPublicKey! };
  }
  const gone = (await parts.nodeKeys.ofNode(id)).find(({ publicKey }) => signedBy(publicKey));
  if (gone?.reason === 'removed') throw nodeRemoved();
  if (gone?.reason === 'retired') throw keyRetired();
  throw node === null ? nodeUnknown() : signatureInvalid();
}

/**
 * The machine that holds the identity by itself, so that those that are refused take nothing from it; all others together,
 * since they are whatever they say.
 */
function admitHello(parts: RegistryParts, node: NodeRow, machine: string): void {
  const whose = cleaned(machine, 128) === node.machine ? 'holder' : 'others';
  const refused = parts.hellos.take(`${node.id} ${whose}`, parts.clock.monotonicMs());
  if (refused === undefined) return;
  if (refused.first) parts.log.warn({ node: node.name, org: node.org }, 'a node says HELLO too often');
  throw helloTooOften(refused.waitMs);
}

async function welcome(
  parts: RegistryParts,
  request: HelloRequest,
  node: NodeRow,
  protocol: number,
): Promise<HelloResponse> {
  const { config, clock } = parts;
  const lifetimeMs = config.node_token_ttl_s * 1000;
  // First what may fail: a node that gets none of it does not show as online, nor takes anybody's place.
  const [credentials, token, signing] = await Promise.all([
    parts.mint(node),
    parts.tokens.sign({ sub: node.id, org: node.org, key: node.publicKey, scopes: ['node'], lifetimeMs }),
    protocol < 2 ? undefined : parts.hub(node.org),
  ]);
  const told = {
    version: cleaned(request.version),
    platform: cleaned(request.platform),
    protocol,
    instance: cleaned(request.instance),
    machine: cleaned(request.machine, 128),
    host: cleaned(request.host, 128),
    facts: request.facts && cleanedFacts(request.facts),
  };
  const routed = await takeIdentity(parts, node, told, request.nonce);
  const [moving, roster] = await Promise.all([
    protocol < 2 ? [] : parts.nodeState.movingFrom(node.id, MOVING_MAX),
    protocol < 2 ? undefined : parts.nodeState.rosterDigest(node.id),
    tellPresence(parts, [routed]),
  ]);
  await stillWelcome(parts, node);
  const base = {
    userJwt: credentials.jwt,
    userJwtExpiresAtMs: credentials.expiresAtMs,
    natsUrls: [...parts.natsUrls],
    partition: node.partition,
    shard: node.shard,
    nodeToken: token.token,
    nodeTokenExpiresAtMs: token.expiresAtMs,
    brokerTimeUs: clock.nowUs(),
    org: node.org,
    nodeName: node.name,
    trust: parts.jwks(),
  };
  if (protocol < 2) return HelloResponse.fromPartial(base);
  const { node: id, challenge, nonce } = request;
  const proves = signing !== undefined && challenge.length > 0;
  return HelloResponse.fromPartial({
    ...base,
    protocol,
    ...(proves ? { challengeResponse: proveHub(signing, { node: id, challenge, nonce }) } : {}),
    hubKey: signing === undefined ? '' : hubKeyOf(signing),
    heartbeatMs: config.heartbeat_ms,
    livenessMs: config.liveness_ms,
    draining: node.draining,
    moving: moving.map(({ agent, epoch }) => ({ agent, epoch })),
    // A node without instance says nothing of its agents yet.
    rosterDiffers: request.instance !== '' && roster !== undefined && roster.digest !== request.rosterDigest,
  });
}

/** Whoever shuts a node out revokes what was issued until then: what was issued in the meantime must not go out. */
async function stillWelcome(parts: RegistryParts, { id, publicKey }: NodeRow): Promise<void> {
  const now = await parts.known.fresh(id);
  if (now === null) throw nodeRemoved();
  if (now.shutOut !== '') throw ownerDeparted();
  if (now.publicKey !== publicKey && now.oldPublicKey !== publicKey) throw keyRetired();
}

function checkChallenge(bytes: Uint8Array): void {
  if (bytes.length === 0 || bytes.length === CHALLENGE_BYTES) return;
  const message = `the challenge to the hub has ${bytes.length} bytes`;
  throw new FleetwireError('invalid_argument', 'INVALID_CHALLENGE', message, {
    help: `Send ${CHALLENGE_BYTES} random bytes, fresh for each HELLO.`,
  });
}
