// Goal: a program that is busy for long gets nothing more typed over it, and its late proof still confirms.
// Method: real programs in real panes and on pipes behind a runner with a short first window.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Stage } from '@fleetwire/gen/message';
import { eventually, silentLog, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Adapter, AdapterFactory } from '../../src/adapters/port.ts';
import { stdioAdapter } from '../../src/adapters/stdio.ts';
import { tmuxAdapter } from '../../src/adapters/tmux.ts';
import { ProgramRunner } from '../../src/mail/program-runner.ts';
import {
  addAgent,
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  testEngine,
} from '../engine-fixture.ts';
import { aStand, program } from './stand.ts';

describe('late proof', function () {
  this.timeout(30_000);
  let folder: TempFolder;
  let test: TestEngine;
  let adapter: Adapter;
  let runner: ProgramRunner;
  beforeEach(async () => {
    folder = tempFolder('late');
    test = await testEngine();
  });
  afterEach(async () => {
    await adapter.stop();
    await runner.end();
    spawnSync('tmux', ['-S', join(folder.path, 'tmux.sock'), 'kill-server']);
    await test.close();
    await folder[Symbol.asyncDispose]();
  });

  async function run(factory: AdapterFactory, command: string[], observeMs: number) {
    adapter = factory(aStand(folder.path, command).spec);
    const agent = await addAgent(test.engine, 'bob', adapter.kind);
    await adapter.start();
    const { clock, custody, turns } = test.engine;
    const parts = { agent, adapter, clock, custody, turns, observeMs, lateProofMs: 20_000 };
    runner = new ProgramRunner({ ...parts, log: silentLog, injected: () => {} });
    runner.begin();
  }
  async function send(...texts: string[]) {
    const bob = test.engine.book.named('bob');
    for (const text of texts)
      await hold(test, bob, entryFor(bob.id, test.clock, { body: new TextEncoder().encode(text) }));
  }
  const ended = () => eventually(() => test.engine.custody.depth === 0, { timeoutMs: 20_000 });
  const stages = () => receiptsFor(test.engine, OTHER_NODE).map((r) => [r.stage, r.reason]);
  const tmux = (...args: string[]) =>
    spawnSync('tmux', ['-S', join(folder.path, 'tmux.sock'), ...args], { encoding: 'utf8' }).stdout;
  const screen = () => tmux('capture-pane', '-p', '-J', '-S', '-5000');
  const confirmed = [Stage.CONFIRMED, ''];
  const held = () => join(folder.path, 'held');
  /** A message whose reader reads nothing more until the file is removed. */
  const busy = () => {
    writeFileSync(held(), '');
    return `until gone ${held()}`;
  };

  it('confirms all mail of a line reader that sleeps, and types no more while it does', async () => {
    await run(tmuxAdapter, program('line-reader'), 1500);
    await eventually(() => screen().includes('ready'));
    await send(busy(), 'first', 'second', 'third');
    await eventually(() => stages().length === 2);
    rmSync(held());
    await ended();
    assert.deepEqual(stages(), [
      confirmed,
      [Stage.UNCONFIRMED, 'NOT_TAKEN_UP'],
      confirmed,
      confirmed,
      confirmed,
    ]);
    await eventually(() => screen().match(/read \d+ bytes/g)?.length === 4);
    // The first message may have come while it slept; each other only after the one before was read.
    const seen =
      screen()
        .match(/\b(busy|first|second|third|read)\b/g)
        ?.join(' ') ?? '';
    assert.match(seen, /^busy first read read second read third( read)$/);
  });

  it('confirms a long body that is read slowly', async () => {
    await run(tmuxAdapter, program('line-reader'), 200);
    await eventually(() => screen().includes('ready'));
    await send(busy(), 'x'.repeat(60_000));
    await eventually(() => stages().some(([stage]) => stage === Stage.UNCONFIRMED));
    rmSync(held());
    await ended();
    assert.deepEqual(stages().at(-1), confirmed);
    await eventually(() => (screen().match(/read \d+ bytes/g)?.length ?? 0) === 17);
  });

  it('ends at once when the program does', async () => {
    await run(tmuxAdapter, program('line-reader'), 1500);
    await eventually(() => screen().includes('ready'));
    await send(busy(), 'first', 'second');
    await eventually(() => isDeepStrictEqual(stages(), [confirmed, [Stage.UNCONFIRMED, 'NOT_TAKEN_UP']]));
    process.kill(adapter.programState().pid!, 'SIGKILL');
    await eventually(() => test.engine.custody.depth === 1);
    assert.deepEqual(stages(), [confirmed, [Stage.UNCONFIRMED, 'NOT_TAKEN_UP']]);
    // The next one may have been tried before it was known that nothing runs any more; it did not get through, and waits.
    await eventually(() => test.engine.book.named('bob').queue.waiting.length === 1);
    assert.equal(test.engine.custody.depth, 1);
  });

  it('waits for nothing that was swallowed by a program that reads', async () => {
    await run(tmuxAdapter, program('box', 'cursor', 'mute'), 2000);
    await eventually(() => screen().includes('welcome'));
    await send('first', 'second');
    await ended();
    const unconfirmed = [Stage.UNCONFIRMED, 'NOT_TAKEN_UP'];
    assert.deepEqual(stages(), [unconfirmed, unconfirmed]);
  });

  it('takes nothing for swallowed so soon that it may not show yet', async () => {
    await run(tmuxAdapter, program('box', 'cursor', 'mute'), 10);
    await eventually(() => screen().includes('welcome'));
    await send('first');
    await eventually(() => stages().length === 1);
    assert.equal(test.engine.custody.depth, 1, 'there may be late proof');
    await ended();
    assert.deepEqual(stages(), [[Stage.UNCONFIRMED, 'NOT_TAKEN_UP']]);
  });

  it('takes a late acknowledgement', async () => {
    await run(stdioAdapter, program('json-lines', 'late'), 100);
    await send('first', 'second');
    await ended();
    const unconfirmed = [Stage.UNCONFIRMED, 'NOT_ACKNOWLEDGED'];
    assert.deepEqual(stages(), [unconfirmed, confirmed, unconfirmed, confirmed]);
  });
});
