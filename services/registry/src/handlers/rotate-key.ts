/** RotateKey: a node changes its key; the one before is taken for a while, so that nothing is cut off. */

import type { RotateKeyRequest, RotateKeyResponse } from '@fleetwire/gen/registry';
import { type Caller, rotationBytes, verifyNodeSignature } from '@fleetwire/identity';
import { nowMs } from '@fleetwire/kernel';
import { checkNonce, useNonce } from '../domain/challenge.ts';
import {
  checkPublicKey,
  keyInUse,
  ownerDeparted,
  rotatedLately,
  signatureInvalid,
} from '../domain/errors.ts';
import { tellOfNode } from './node-news.ts';
import type { RegistryParts } from './parts.ts';
import { callingNode } from './standing.ts';

/** Repeating it with the key that the node has got by it gives the same answer. */
export async function rotateKey(
  parts: RegistryParts,
  request: RotateKeyRequest,
  caller: Caller,
): Promise<RotateKeyResponse> {
  const node = await callingNode(parts, caller);
  const { id } = node;
  const { nonce, newPublicKey: to, signature, newSignature } = request;
  const now = nowMs(parts.clock);
  checkPublicKey(to);
  checkNonce(parts.secret, id, nonce, now);
  if (node.shutOut !== '') throw ownerDeparted();
  const bytes = rotationBytes(id, nonce, to);
  if (!verifyNodeSignature(to, bytes, newSignature)) throw signatureInvalid();
  const signedBy = (key: string | null | undefined) => !!key && verifyNodeSignature(key, bytes, signature);
  if (node.publicKey === to && signedBy(node.oldPublicKey)) return { oldKeyUntilMs: node.oldKeyUntilMs };
  if (!signedBy(node.publicKey)) throw signatureInvalid();
  // Each key that is given up is remembered for good, here and by the servers.
  if (!node.rotate && node.oldPublicKey !== null && node.oldKeyUntilMs > now)
    throw rotatedLately(node.oldKeyUntilMs - now);
  const untilMs = now + parts.config.key_overlap_s * 1000;
  const used = (before: readonly string[]) => useNonce(before, nonce, now);
  const change = { node: id, from: node.publicKey, to, untilMs, useNonce: used };
  if (!(await parts.nodeKeys.rotate(change, now))) throw keyInUse();
  await parts.known.fresh(id);
  tellOfNode(parts, 'node_key_rotated', node, to, { details: { old_key_until_ms: String(untilMs) } });
  return { oldKeyUntilMs: untilMs };
}
