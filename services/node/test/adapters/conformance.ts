// One suite that every way of handing mail to a program passes. It asks nothing about how: only what the program has taken up
// and what the sender was told.

import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Stage } from '@fleetwire/gen/message';
import { pause } from '@fleetwire/kernel';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type Contract, samples, type Told, type World } from './world.ts';

const CONFIRMED: Told = [Stage.CONFIRMED, ''];
const SLOW = { timeoutMs: 40_000 };

export function adapterConformance(
  name: string,
  contract: Contract,
  open: (folder: string) => Promise<World>,
): void {
  describe(name, function () {
    this.timeout(90_000);
    let folder: TempFolder;
    let world: World;
    beforeEach(async () => {
      folder = tempFolder('conformance');
      world = await open(folder.path);
    });
    afterEach(async () => {
      await world[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    const confirmed = (...ids: string[]) =>
      eventually(() => ids.every((id) => world.told(id).at(-1)?.[0] === Stage.CONFIRMED), SLOW);
    const last = (id: string) => world.told(id).at(-1);

    it('hands over in order, each once, and confirms each once', async () => {
      const bodies = Array.from({ length: 6 }, (_, i) => `number ${i}`);
      const ids = await world.send('bob', ...bodies);
      await confirmed(...ids);
      assert.deepEqual(world.taken('bob'), bodies);
      for (const id of ids) assert.deepEqual(world.told(id), [CONFIRMED]);
      assert.equal(world.depth('bob'), 0);
    });

    it('hands over any text as text, all of it, and nothing of it acts', async () => {
      const canary = join(folder.path, 'canary');
      for (const sample of samples(canary)) {
        const before = world.taken('bob').length;
        const [id] = await world.send('bob', sample.body);
        await eventually(() => last(id!) !== undefined, SLOW);
        assert.deepEqual(world.told(id!), [CONFIRMED], sample.name);
        assert.deepEqual(world.taken('bob').slice(before), [contract.text(sample)], sample.name);
      }
      assert.equal(existsSync(canary), false, 'something was run');
    });

    it('confirms nothing that the program has not taken up, tells so, and confirms it once it has', async () => {
      await world.pause('bob');
      const ids = await world.send('bob', 'one', 'two');
      if (contract.silent === undefined) await pause(400);
      else await eventually(() => last(ids[0]!) !== undefined, SLOW);
      assert.deepEqual(last(ids[0]!), contract.silent);
      assert.deepEqual(world.told(ids[1]!), [], 'the second waits for the first');
      assert.deepEqual(world.taken('bob'), []);
      await world.resume('bob');
      await confirmed(...ids);
      assert.deepEqual(world.taken('bob'), ['one', 'two']);
      assert.deepEqual(
        world.told(ids[0]!),
        contract.silent === undefined ? [CONFIRMED] : [contract.silent, CONFIRMED],
      );
    });

    it('keeps what was not under way when the program dies, for its successor; nothing comes twice', async () => {
      await world.pause('bob');
      const ids = await world.send('bob', 'one', 'two', 'three');
      if (contract.silent !== undefined) await eventually(() => last(ids[0]!) !== undefined, SLOW);
      await world.die('bob');
      const waiting = contract.lost === undefined ? 3 : 2;
      await eventually(() => world.depth('bob') === waiting, SLOW);
      assert.deepEqual(last(ids[0]!), contract.lost);
      assert.deepEqual(world.taken('bob'), []);
      await world.revive('bob');
      await confirmed(...ids.slice(-waiting));
      assert.deepEqual(world.taken('bob'), ['one', 'two', 'three'].slice(-waiting));
    });

    it('hands over again nothing that was under way when the node died, and loses nothing that was not', async () => {
      const [before] = await world.send('bob', 'zero');
      await confirmed(before!);
      await world.pause('bob');
      const ids = await world.send('bob', 'one', 'two');
      if (contract.silent !== undefined) await eventually(() => last(ids[0]!) !== undefined, SLOW);
      await world.crash();
      await world.resume('bob');
      await eventually(() => world.depth('bob') === 0, SLOW);
      await confirmed(ids[1]!);
      const all = ['zero', 'one', 'two'];
      const kept = contract.survives || contract.lost === undefined;
      assert.deepEqual(world.taken('bob'), kept ? all : all.filter((text) => text !== 'one'));
      assert.deepEqual(last(ids[0]!), kept ? CONFIRMED : last(ids[0]!));
      assert.ok(last(ids[0]!) !== undefined, 'no message without an end');
      await pause(100);
      assert.equal(world.taken('bob').length, kept ? 3 : 2);
    });

    it('lets no agent hold up another', async () => {
      await world.pause('bob');
      const [toBob] = await world.send('bob', 'for bob');
      const toCarol = await world.send('carol', 'one', 'two', 'three');
      await confirmed(...toCarol);
      assert.deepEqual([world.taken('bob'), world.taken('carol')], [[], ['one', 'two', 'three']]);
      assert.notEqual(last(toBob!)?.[0], Stage.CONFIRMED);
      await world.resume('bob');
      await confirmed(toBob!);
    });
  });
}
