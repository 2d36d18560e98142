/** By what the hub shows a node that it is the hub of its org, and what a node signs; docs/protocol.md. */

import { createHash } from 'node:crypto';
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

/** HelloRequest without its signature. */
export interface NodeHello {
  readonly node: string;
  readonly nonce: Uint8Array;
  readonly protocol: string;
  readonly version: string;
  readonly platform: string;
  readonly protocols: readonly number[];
  readonly challenge: Uint8Array;
  readonly instance: string;
  readonly machine: string;
  readonly host: string;
  readonly facts:
    | {
        readonly capabilities: readonly string[];
        readonly tools: readonly string[];
        readonly cpus: number;
        readonly memoryBytes: number;
      }
    | undefined;
  readonly rosterDigest: number;
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

/**
 * What a node signs to say HELLO: in protocol 2 all that it says, else the nonce alone. As a digest, since nobody is known yet
 * to whom a large HELLO belongs, and signatures over much are slow to verify.
 */
export function nodeHelloBytes(said: NodeHello): Uint8Array {
  if (said.protocol === '1') return said.nonce;
  const { facts } = said;
  const lines = [
    hexText(said.node),
    hex(said.nonce),
    ...[said.protocol, said.version, said.platform].map(hexText),
    said.protocols.join(),
    hex(said.challenge),
    ...[said.instance, said.machine, said.host].map(hexText),
    ...(facts === undefined
      ? []
      : [
          facts.capabilities.map(hexText).join(),
          facts.tools.map(hexText).join(),
          String(facts.cpus),
          String(facts.memoryBytes),
        ]),
    String(said.rosterDigest),
  ];
  const digest = createHash('sha256').update(lines.join('\n')).digest('hex');
  return new TextEncoder().encode(`fleetwire greeting 2\n${digest}`);
}

/** What the old and the new key of a node sign. */
export function rotationBytes(node: string, nonce: Uint8Array, newPublicKey: string): Uint8Array {
  return new TextEncoder().encode(`fleetwire rotate 2\n${node}\n${hex(nonce)}\n${newPublicKey}`);
}

function helloBytes({ node, challenge, nonce }: HelloProof): Uint8Array {
  return new TextEncoder().encode(`fleetwire hello 2\n${node}\n${hex(challenge)}\n${hex(nonce)}`);
}

const hexText = (text: string): string => Buffer.from(text).toString('hex');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
