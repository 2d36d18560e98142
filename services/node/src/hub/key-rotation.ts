/** Another key for the node when the registry asks for it; whatever dies in between, one of the two keys is taken. */

import { asFleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { NodeClock } from './node-clock.ts';
import type { NodeKeys } from './node-keys.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface RotationParts {
  readonly keys: NodeKeys;
  readonly door: Pick<RegistryDoor, 'hello' | 'rotateKey' | 'credentials'>;
  readonly clock: NodeClock;
  readonly log: Logger;
}

/** After a change, for so long the registry's wish for one counts as the one that was fulfilled. */
const REST_MS = 60_000;

export class KeyRotation {
  readonly #parts: RotationParts;
  #doneAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /**
   * Until HELLO is taken by the next key; the connection that follows puts it in use. Never rejects: the registry goes on
   * asking, and what was begun is taken up where it stopped.
   */
  async rotate(): Promise<void> {
    const { keys, door, clock, log } = this.#parts;
    if (clock.monotonicMs() - this.#doneAtMs < REST_MS) return;
    try {
      // The registry may have taken it, and only its answer was lost.
      const begun = keys.next !== undefined && (await this.#greetedByNext());
      if (!begun) {
        await door.rotateKey(keys.propose());
        await door.hello();
      }
    } catch (error) {
      log.warn({ err: asFleetwireError(error) }, 'the key is not changed yet; trying again');
    }
  }

  /** A connection by this key is up. Never throws: what cannot be written now is at the next connection. */
  inUse(publicKey: string): void {
    const { keys, clock, log } = this.#parts;
    try {
      if (!keys.settle(publicKey)) return;
      this.#doneAtMs = clock.monotonicMs();
      log.info({ publicKey }, 'the node has another key; the former one is forgotten');
    } catch (error) {
      log.error(
        { err: asFleetwireError(error) },
        'the new key is in use, but the former one is still on the disk',
      );
    }
  }

  async #greetedByNext(): Promise<boolean> {
    const { keys, door } = this.#parts;
    await door.hello();
    return door.credentials()?.key.publicKey === keys.next?.publicKey;
  }
}
