/** Keys, and the texts that they sign, as docs/protocol.md says. */

import { createHash } from 'node:crypto';
import type { HelloRequest } from '@fleetwire/gen/registry';
import { createAccount, createUser, fromPublic, fromSeed } from '@nats-io/nkeys';

export interface Key {
  readonly publicKey: string;
  readonly seed: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

function keyOf(pair: ReturnType<typeof createUser>): Key {
  const seed = pair.getSeed();
  return { publicKey: pair.getPublicKey(), seed, sign: (bytes) => fromSeed(seed).sign(bytes) };
}

export const newNodeKey = (): Key => keyOf(createUser());
export const newHubKey = (): Key => keyOf(createAccount());

/** False for what is no signature too. */
export function isSigned(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return fromPublic(publicKey).verify(bytes, signature);
  } catch {
    return false;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function helloText(node: string, challenge: Uint8Array, nonce: Uint8Array): Uint8Array {
  return utf8(`fleetwire hello 2\n${node}\n${hex(challenge)}\n${hex(nonce)}`);
}

/** What a node signs; in version 1 its nonce alone. */
export function nodeHelloText(said: HelloRequest): Uint8Array {
  if (said.protocol === '1') return said.nonce;
  const text = (value: string) => hex(utf8(value));
  const { facts } = said;
  const lines = [text(said.node), hex(said.nonce), text(said.protocol), text(said.version)];
  lines.push(text(said.platform), said.protocols.join(','), hex(said.challenge));
  lines.push(text(said.instance), text(said.machine), text(said.host));
  if (facts !== undefined) {
    lines.push(facts.capabilities.map(text).join(','), facts.tools.map(text).join(','));
    lines.push(`${facts.cpus}`, `${facts.memoryBytes}`);
  }
  lines.push(`${said.rosterDigest}`);
  const digest = createHash('sha256').update(lines.join('\n')).digest('hex');
  return utf8(`fleetwire greeting 2\n${digest}`);
}

export function rotationText(node: string, nonce: Uint8Array, newPublicKey: string): Uint8Array {
  return utf8(`fleetwire rotate 2\n${node}\n${hex(nonce)}\n${newPublicKey}`);
}

/** Exclusive or of the first 6 bytes of the SHA-256 of each id. */
export function digestOf(agents: readonly string[]): number {
  const digest = Buffer.alloc(6);
  for (const id of agents) {
    const hash = createHash('sha256').update(id).digest();
    for (let i = 0; i < 6; i++) digest[i] = digest[i]! ^ hash[i]!;
  }
  return digest.readUIntBE(0, 6);
}

/** Payload of a JWT, unverified. */
// biome-ignore lint/suspicious/noExplicitAny: claims differ, and the tests look into them
export function claimsOf(jwt: string): any {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** An id of the kind that its first letter tells: 16 characters of Crockford's base32. */
export function newId(kind: 'o' | 'n' | 'a' | 'c', from: string): string {
  const bytes = createHash('sha256').update(from).digest();
  return `${kind}_${[...bytes.subarray(0, 16)].map((byte) => ALPHABET[byte % 32]).join('')}`;
}

let count = 0;

/** A message's id: a ULID, lowercase. */
export function newMessageId(): string {
  let text = '';
  for (let at = Date.now(), i = 0; i < 10; i++, at = Math.floor(at / 32)) text = ALPHABET[at % 32] + text;
  return text + newId('a', `${process.pid}-${Date.now()}-${++count}`).slice(2);
}
