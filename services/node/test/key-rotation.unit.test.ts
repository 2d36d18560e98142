/**
 * Goal: wherever a change of key is cut short, by a write that fails, by the hub or by a crash, the hub takes a key that is
 * on the node's disk, and the change ends well when it is taken up again. Method: a hub of a few lines; the change is cut
 * short at each of its steps, and each time the node starts again from what is on its disk.
 */

import assert from 'node:assert/strict';
import { createNodeKey } from '@fleetwire/identity';
import { silentLog as log } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import type { NodeIdentity, NodeKeyPair } from '../src/hub/identity-file.ts';
import { KeyRotation } from '../src/hub/key-rotation.ts';
import { NodeClock } from '../src/hub/node-clock.ts';
import { NodeKeys } from '../src/hub/node-keys.ts';

class World {
  readonly first = createNodeKey();
  /** identity.json. */
  disk: NodeIdentity = {
    ...this.first,
    node: 'n_0000000000000001',
    org: 'o_0000000000000001',
    name: 'here',
    registry: '',
    agentSecret: '',
  };
  /** The key that the hub takes. */
  taken = this.first.publicKey;
  rotations = 0;
  /** Counts the steps that can fail; the one of this number does. */
  failAt = 0;
  #step = 0;

  fail(): void {
    if (++this.#step === this.failAt) throw new Error('cut short');
  }

  /** A node that starts from the disk: what it does until a connection is up, or until something fails. */
  async live(): Promise<void> {
    this.#step = 0;
    const write = (identity: NodeIdentity) => {
      this.fail();
      this.disk = identity;
      this.fail();
    };
    const keys = new NodeKeys('', this.disk, write);
    let greetedBy: NodeKeyPair | undefined;
    const door = {
      hello: async () => {
        greetedBy = keys.inOrder().find(({ publicKey }) => publicKey === this.taken);
        assert.ok(greetedBy !== undefined, 'the hub takes none of the keys');
        return {} as never;
      },
      rotateKey: async ({ publicKey }: NodeKeyPair) => {
        this.fail();
        assert.equal(keys.current.publicKey, this.taken, 'the hub knows the key that signs');
        this.taken = publicKey;
        this.rotations++;
        this.fail();
      },
      credentials: () => greetedBy && { jwt: '', expiresAtMs: 0, key: greetedBy },
    };
    const rotation = new KeyRotation({ keys, door, clock: new NodeClock(), log });
    await door.hello();
    rotation.inUse(greetedBy!.publicKey);
    await rotation.rotate();
    rotation.inUse(greetedBy!.publicKey);
  }
}

describe('a change of the key', () => {
  it('leaves one key, the one that the hub takes', async () => {
    const world = new World();
    await world.live();
    assert.equal(world.rotations, 1);
    assert.equal(world.disk.publicKey, world.taken);
    assert.notEqual(world.taken, world.first.publicKey);
    assert.equal(world.disk.next, undefined);
  });

  for (let step = 1; step <= 6; step++) {
    it(`ends well when it was cut short at step ${step}`, async () => {
      const world = new World();
      world.failAt = step;
      await world.live();
      const { publicKey, next } = world.disk;
      assert.ok([publicKey, next?.publicKey].includes(world.taken), 'a key of the disk is taken');
      world.failAt = 0;
      await world.live();
      assert.equal(world.disk.publicKey, world.taken);
      assert.notEqual(world.taken, world.first.publicKey);
      assert.equal(world.disk.next, undefined);
    });
  }

  it('makes no second key while the first one is not in use', () => {
    const keys = new NodeKeys('', new World().disk, () => {});
    const next = keys.propose();
    assert.deepEqual(keys.propose(), next);
    assert.equal(keys.settle(keys.current.publicKey), false);
    assert.deepEqual(keys.inOrder().map(({ seed }) => seed)[0], next.seed);
    assert.equal(keys.settle(next.publicKey), true);
    assert.deepEqual(keys.inOrder(), [next]);
  });
});
