/** Challenge and Hello: a node proves that it holds its private key and gets what it needs to work. */

import {
  type ChallengeRequest,
  type ChallengeResponse,
  type HelloRequest,
  HelloResponse,
} from '@fleetwire/gen/registry';
import { verifyNodeSignature } from '@fleetwire/identity';
import { nowMs } from '@fleetwire/kernel';
import { checkNonce, makeNonce } from '../domain/challenge.ts';
import { checkProtocol, nodeUnknown, signatureInvalid } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { RegistryParts } from './parts.ts';

/** Says nothing about whether the node exists, and costs no query. */
export function challenge(parts: RegistryParts, request: ChallengeRequest): ChallengeResponse {
  const expiresAtMs = nowMs(parts.clock) + parts.config.challenge_ttl_s * 1000;
  return { nonce: makeNonce(parts.secret, request.node, expiresAtMs, parts.random) };
}

export async function hello(parts: RegistryParts, request: HelloRequest): Promise<HelloResponse> {
  const now = nowMs(parts.clock);
  checkProtocol(request.protocol);
  checkNonce(parts.secret, request.node, request.nonce, now);
  const node = await parts.nodes.byId(request.node);
  if (node === null) throw nodeUnknown();
  if (!verifyNodeSignature(node.publicKey, request.nonce, request.signature)) throw signatureInvalid();
  requireOpen(parts.orgs, node.org);
  const [credentials, token, moving] = await Promise.all([
    parts.mint(node),
    parts.tokens.sign({
      sub: node.id,
      org: node.org,
      scopes: ['node'],
      lifetimeMs: parts.config.node_token_ttl_s * 1000,
    }),
    parts.moving.departed.read(node.id),
    parts.nodes.greeted(
      node.id,
      shortened(request.version),
      shortened(request.platform),
      Number(request.protocol),
    ),
  ]);
  parts.lastSeen.note(node.id, now);
  return HelloResponse.fromPartial({
    userJwt: credentials.jwt,
    userJwtExpiresAtMs: credentials.expiresAtMs,
    natsUrls: [...parts.natsUrls],
    partition: node.partition,
    shard: node.shard,
    nodeToken: token.token,
    nodeTokenExpiresAtMs: token.expiresAtMs,
    brokerTimeUs: parts.clock.nowUs(),
    org: node.org,
    nodeName: node.name,
    trust: parts.jwks(),
    moving,
  });
}

/** Free text of the node's, shown to people: bounded, and without control characters. */
function shortened(text: string): string {
  return text.replace(/\p{C}/gu, '').slice(0, 64);
}
