/** The node's keys and the hub's: what HELLO is signed with, how one key follows another, and whom the node believes. */

import { createNodeKey } from '@fleetwire/identity';
import { type NodeIdentity, type NodeKeyPair, writeIdentity } from './identity-file.ts';

/**
 * A change of key takes two writes of identity.json: `next` beside the present key, then `next` in its place. In between
 * only the hub knows which of the two it takes, so HELLO tries both. A write that fails changes nothing here.
 */
export class NodeKeys {
  #identity: NodeIdentity;
  readonly #write: (identity: NodeIdentity) => void;

  constructor(dir: string, identity: NodeIdentity, write = (i: NodeIdentity) => writeIdentity(dir, i)) {
    this.#identity = identity;
    this.#write = write;
  }

  /** The hub's public key; '' as long as no hub has named one. */
  get hubKey(): string {
    return this.#identity.hubKey ?? '';
  }

  /** From now on no other hub is believed. */
  pin(hubKey: string): void {
    this.#keep({ ...this.#identity, hubKey });
  }

  get current(): NodeKeyPair {
    const { seed, publicKey } = this.#identity;
    return { seed, publicKey };
  }

  get next(): NodeKeyPair | undefined {
    return this.#identity.next;
  }

  /** To be tried at HELLO, in this order. */
  inOrder(): readonly NodeKeyPair[] {
    return this.next === undefined ? [this.current] : [this.next, this.current];
  }

  /** Undefined for a key that this node does not have. */
  withPublicKey(publicKey: string): NodeKeyPair | undefined {
    return this.inOrder().find((key) => key.publicKey === publicKey);
  }

  /** The key to come, on the disk: the same one until it is in use. */
  propose(): NodeKeyPair {
    const next = this.next ?? createNodeKey();
    if (this.next === undefined) this.#keep({ ...this.#identity, next });
    return next;
  }

  /** A connection by this key is up. If it is the next one, the former is forgotten. True when that happened. */
  settle(publicKey: string): boolean {
    const { next, ...identity } = this.#identity;
    if (next === undefined || next.publicKey !== publicKey) return false;
    this.#keep({ ...identity, ...next });
    return true;
  }

  #keep(identity: NodeIdentity): void {
    this.#write(identity);
    this.#identity = identity;
  }
}
