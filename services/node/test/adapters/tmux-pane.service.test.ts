// Goal: whatever happens to a pane, a message is typed into its own program or not at all, and counts as confirmed only when
// that program has taken it up.
// Method: real tmux and real programs; panes are moved, resized, respawned, killed and read by people meanwhile.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stage } from '@fleetwire/gen/message';
import { pause } from '@fleetwire/kernel';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Adapter, Proof } from '../../src/adapters/port.ts';
import { tmuxAdapter } from '../../src/adapters/tmux.ts';
import { PaneNews } from '../../src/adapters/tmux-news.ts';
import { tmuxServer } from '../../src/adapters/tmux-server.ts';
import { type ProgramWorld, programWorld } from './program-world.ts';
import { aMessage, aStand, program } from './stand.ts';

const never = new AbortController().signal;
const SLOW = { timeoutMs: 30_000 };

describe('a pane of tmux', function () {
  this.timeout(60_000);
  let folder: TempFolder;
  let world: ProgramWorld;
  beforeEach(() => {
    folder = tempFolder('pane');
  });
  afterEach(async () => {
    await world[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const open = async (mode: string) => {
    world = await programWorld(folder.path, tmuxAdapter, mode);
  };
  const socket = () => join(folder.path, 'tmux.sock');
  const tmux = (...args: string[]) =>
    spawnSync('tmux', ['-S', socket(), ...args], { encoding: 'utf8' }).stdout;
  const paneOf = (name: 'bob' | 'carol') => world.agent(name).adapter.programState().pane!.split(' ')[0]!;
  const screen = (pane: string) => tmux('capture-pane', '-p', '-J', '-S', '-500', '-t', pane);
  const confirmed = (...ids: string[]) =>
    eventually(() => ids.every((id) => world.told(id).at(-1)?.[0] === Stage.CONFIRMED), SLOW);
  /** As if the program had shown it. */
  const show = (pane: string, text: string) =>
    writeFileSync(tmux('display-message', '-p', '-t', pane, '#{pane_tty}').trim(), text);
  const reason = (proof: Proof) => (proof.kind === 'unproven' ? proof.reason : proof.kind);
  const proofOf = async (adapter: Adapter, message: ReturnType<typeof aMessage>, timeoutMs = 300) => {
    await adapter.inject(message);
    return adapter.observe(message, timeoutMs, never);
  };

  it('is told unconfirmed, NOT_SUBMITTED, what stays in the input line; nothing is typed behind it', async () => {
    await open('deaf');
    const ids = await world.send('bob', 'one', 'two');
    await eventually(() => world.told(ids[0]!).length > 0, SLOW);
    assert.deepEqual(world.told(ids[0]!), [[Stage.UNCONFIRMED, 'NOT_SUBMITTED']]);
    await pause(300);
    assert.doesNotMatch(screen(paneOf('bob')), /two/);
  });

  for (const mode of ['lines', 'raw'])
    it(`whose history somebody reads gets its mail all the same (${mode})`, async () => {
      await open(mode);
      let reading = true;
      const reader = (async () => {
        for (; reading; await pause(3)) tmux('copy-mode', '-t', paneOf('bob'));
      })();
      const bodies = Array.from({ length: 8 }, (_, i) => `number ${i}`);
      const ids = await world.send('bob', ...bodies);
      await eventually(() => ids.every((id) => world.told(id).length > 0), SLOW);
      reading = false;
      await reader;
      await confirmed(...ids);
      assert.deepEqual(world.taken('bob'), bodies);
    });

  it('into which somebody types meanwhile loses none of its mail', async () => {
    await open('raw');
    let typing = true;
    const person = (async () => {
      for (; typing; await pause(10)) tmux('send-keys', '-t', paneOf('bob'), '-l', 'z');
    })();
    const ids = await world.send('bob', ...Array.from({ length: 6 }, (_, i) => `number ${i}.`));
    await confirmed(...ids);
    typing = false;
    await person;
    const numbers = [...JSON.stringify(world.taken('bob')).matchAll(/number (\d)\./g)].map((m) =>
      Number(m[1]),
    );
    assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5]);
  });

  it('that is resized again and again shows its proof all the same', async () => {
    await open('raw');
    let resizing = true;
    const person = (async () => {
      for (let x = 12; resizing; x = x === 12 ? 120 : 12, await pause(20))
        tmux('resize-window', '-t', paneOf('bob'), '-x', String(x), '-y', '20');
    })();
    const bodies = Array.from({ length: 6 }, (_, i) => `number ${i}`);
    const ids = await world.send('bob', ...bodies);
    await confirmed(...ids);
    resizing = false;
    await person;
    assert.deepEqual(world.taken('bob'), bodies);
  });

  for (const mode of ['lines', 'raw', 'folds'])
    it(`that is so narrow that the marker breaks confirms (${mode})`, async () => {
      await open(mode);
      tmux('resize-window', '-t', paneOf('bob'), '-x', '15', '-y', '30');
      const [id] = await world.send('bob', 'hello there');
      await confirmed(id!);
      assert.deepEqual(world.told(id!), [[Stage.CONFIRMED, '']]);
      assert.match(world.receipts(id!)[0]!.proof!.matched, /\[fleetwire\s+[0-9a-z]{8}\]/);
    });

  it('of each of two agents in one session is its own', async () => {
    await open('raw');
    tmux('join-pane', '-d', '-s', paneOf('carol'), '-t', paneOf('bob'));
    assert.equal(tmux('list-sessions').trim().split('\n').length, 1);
    const [toBob, toCarol] = await Promise.all([
      world.send('bob', 'for bob', 'and again'),
      world.send('carol', 'for carol', 'and once more'),
    ]);
    await confirmed(...toBob, ...toCarol);
    assert.deepEqual(world.taken('bob'), ['for bob', 'and again']);
    assert.deepEqual(world.taken('carol'), ['for carol', 'and once more']);
    const places = [toBob, toCarol].map(([id]) => world.receipts(id!)[0]!.proof!.place.split(',')[0]);
    assert.deepEqual(places, [`pane ${paneOf('bob')}`, `pane ${paneOf('carol')}`]);
  });

  it('is no other agent’s, whatever that one remembers', async () => {
    await open('raw');
    const stand = aStand(
      folder.path,
      program('taker', 'raw', join(folder.path, 'x'), join(folder.path, 'y')),
    );
    const other = tmuxAdapter({ ...stand.spec, handle: world.agent('bob').handle() });
    await other.start();
    assert.notEqual(other.programState().pane, world.agent('bob').adapter.programState().pane);
    await other.stop();
  });

  describe('that shows markers by itself', () => {
    it('does not confirm by the marker of another message', async () => {
      await open('mute');
      const { adapter } = world.agent('bob');
      const [message, other] = [aMessage('hello'), aMessage('not here')];
      await adapter.inject(message);
      show(paneOf('bob'), `[fleetwire ${other.marker}] bob: not here\r\n> `);
      assert.equal(reason(await adapter.observe(message, 300, never)), 'NOT_TAKEN_UP');
    });

    it('does not confirm by the message’s own marker that stood there before', async () => {
      await open('mute');
      const message = aMessage('hello');
      show(paneOf('bob'), `expecting [fleetwire ${message.marker}]\r\n> `);
      assert.equal(reason(await proofOf(world.agent('bob').adapter, message)), 'NOT_TAKEN_UP');
    });

    it('confirms once it shows again, though it stood there before', async () => {
      await open('raw');
      const message = aMessage('hello');
      show(paneOf('bob'), `expecting [fleetwire ${message.marker}]\r\n> `);
      const proof = await proofOf(world.agent('bob').adapter, message, 3000);
      assert.equal(proof.kind === 'confirmed' && proof.matched, `> [fleetwire ${message.marker}] bob: hello`);
    });

    it('does not confirm by a copy of the line that was left behind while that still waits for Enter', async () => {
      await open('deaf');
      const { adapter } = world.agent('bob');
      const message = aMessage('hello');
      await adapter.inject(message);
      show(paneOf('bob'), `\r\nsome news\r\n> [fleetwire ${message.marker}] bob: hello`);
      assert.equal(reason(await adapter.observe(message, 300, never)), 'NOT_SUBMITTED');
    });
  });

  describe('whose program is not the one that was started', () => {
    const respawn = () => tmux('respawn-pane', '-k', '-t', paneOf('bob'), 'cat');

    it('gets nothing typed; the mail waits', async () => {
      await open('raw');
      respawn();
      const [id] = await world.send('bob', 'for the first program');
      await eventually(() => world.agent('bob').adapter.programState().state === 'exited', SLOW);
      await eventually(() => world.depth('bob') === 1);
      assert.deepEqual(world.told(id!), []);
      assert.doesNotMatch(screen('%0'), /first program/);
      await world.revive('bob');
      await confirmed(id!);
      assert.deepEqual(world.taken('bob'), ['for the first program']);
    });

    it('gets nothing typed even when it is replaced between the look and the typing', async () => {
      await open('raw');
      const { adapter } = world.agent('bob');
      const real = spawnSync('which', ['tmux'], { encoding: 'utf8' }).stdout.trim();
      const swap = `${real} -S ${socket()} respawn-pane -k -t ${paneOf('bob')} cat`;
      const bin = join(folder.path, 'bin');
      mkdirSync(bin);
      const script = `#!/bin/sh\ncase "$*" in *"send-keys -t"*-l*) ${swap} </dev/null;; esac\nexec ${real} "$@"\n`;
      writeFileSync(join(bin, 'tmux'), script, { mode: 0o755 });
      const path = process.env['PATH'];
      process.env['PATH'] = `${bin}:${path}`;
      try {
        await assert.rejects(adapter.inject(aMessage('for the first program')), { reason: 'PANE_GONE' });
      } finally {
        process.env['PATH'] = path;
      }
      assert.equal(
        tmux('display-message', '-p', '-t', paneOf('bob'), '#{pane_current_command}').trim(),
        'cat',
      );
      assert.doesNotMatch(screen(paneOf('bob')), /first program/);
    });

    it('gets nothing typed where another server has given its number away', async () => {
      await open('raw');
      const pane = paneOf('bob');
      tmux('kill-server');
      await eventually(() => tmux('list-panes', '-a') === '');
      tmux('-f', '/dev/null', 'new-session', '-d', 'cat');
      assert.equal(tmux('list-panes', '-a', '-F', '#{pane_id}').trim(), pane);
      await assert.rejects(world.agent('bob').adapter.inject(aMessage('hello')), { reason: 'PANE_GONE' });
      assert.doesNotMatch(screen(pane), /hello/);
    });
  });

  for (const [what, end] of [
    ['is closed', ['kill-pane', '-t', '%0']],
    ['goes with its server', ['kill-server']],
  ] as const)
    it(`that ${what} ends what is under way, and keeps the rest for what comes after it`, async () => {
      await open('lines');
      await world.pause('bob');
      const ids = await world.send('bob', 'one', 'two');
      await eventually(() => screen('%0').includes('one'));
      tmux(...end);
      await eventually(() => world.told(ids[0]!).length > 0 && world.depth('bob') === 1, SLOW);
      assert.deepEqual(world.told(ids[0]!), [[Stage.UNCONFIRMED, 'PANE_GONE']]);
      assert.deepEqual(world.told(ids[1]!), []);
      await eventually(() => world.agent('bob').adapter.programState().state === 'exited');
      await world.resume('bob');
      await world.revive('bob');
      await confirmed(ids[1]!);
      assert.deepEqual(world.taken('bob'), ['two']);
    });

  it('tells of what shows in it, costs no size, and is left alone when nobody asks', async () => {
    await open('raw');
    const clients = () => tmux('list-clients').trim();
    const size = () => tmux('display-message', '-p', '-t', paneOf('bob'), '#{pane_width}x#{pane_height}');
    const before = size();
    const news = new PaneNews(tmuxServer(socket()), paneOf('bob'));
    await news.wait(0, 10_000, never);
    await eventually(() => clients() !== '');
    await news.wait(0, 200, never);
    const waited = news.wait(0, 60_000, never);
    await pause(50);
    show(paneOf('bob'), 'something');
    await waited;
    assert.equal(size(), before);
    news.close();
    await eventually(() => clients() === '');
  });
});
