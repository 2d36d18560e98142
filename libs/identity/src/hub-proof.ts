/** By what the hub shows a node that it is the hub of its org, and what a node signs to change its key; docs/protocol.md. */

import { fromPublic } from '@nats-io/nkeys';
import { keyPair, publicKeyOf } from './accounts.ts';
import type { OrgSigning } from './trust.ts';

/** What a HELLO of protocol 2 is told apart by. */
export interface HelloProof {
  readonly node: string;
  /** The 32 bytes that the node made. */
  readonly challenge: Uint8Array;
  /** The one that the hub gave and the node signed. */
  readonly nonce: Uint8Array;
}

/** The public NKEY of an org's hub: always the same for an org. */
export const hubKeyOf = (signing: Pick<OrgSigning, 'signingSeed'>): string =>
  publicKeyOf(signing.signingSeed);

/** Ed25519 by the key of `hubKeyOf`. */
export function proveHub(signing: Pick<OrgSigning, 'signingSeed'>, proof: HelloProof): Uint8Array {
  return keyPair(signing.signingSeed).sign(helloBytes(proof));
}

/** False also for a malformed key or signature; never throws. */
export function verifyHub(hubKey: string, proof: HelloProof, signature: Uint8Array): boolean {
  try {
    return fromPublic(hubKey).verify(helloBytes(proof), signature);
  } catch {
    return false;
  }
}

/** What the old and the new key of a node sign. */
export function rotationBytes(node: string, nonce: Uint8Array, newPublicKey: string): Uint8Array {
  return new TextEncoder().encode(`fleetwire rotate 2\n${node}\n${hex(nonce)}\n${newPublicKey}`);
}

function helloBytes({ node, challenge, nonce }: HelloProof): Uint8Array {
  return new TextEncoder().encode(`fleetwire hello 2\n${node}\n${hex(challenge)}\n${hex(nonce)}`);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
