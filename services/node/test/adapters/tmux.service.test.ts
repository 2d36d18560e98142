// Goal: a message counts as confirmed only when the program in the pane demonstrably has it, submitted.
// Method: real tmux servers on sockets in temporary folders, with small programs that read, do not read, or
// only seem to; each server is ended by its own socket.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Adapter, InjectedMessage, Proof } from '../../src/adapters/port.ts';
import { tmuxAdapter } from '../../src/adapters/tmux.ts';
import { startPane } from '../../src/adapters/tmux-pane.ts';
import { TmuxServer } from '../../src/adapters/tmux-server.ts';
import { aMessage, aStand, program, type Stand } from './stand.ts';

const never = new AbortController().signal;

describe('tmux adapter', () => {
  let folder: TempFolder;
  let adapters: Adapter[];
  beforeEach(() => {
    folder = tempFolder('tmux');
    adapters = [];
  });
  afterEach(async () => {
    for (const adapter of adapters) await adapter.stop();
    tmux('kill-server');
    await folder[Symbol.asyncDispose]();
  });

  const tmux = (...args: string[]) =>
    spawnSync('tmux', ['-S', join(folder.path, 'tmux.sock'), ...args], { encoding: 'utf8' }).stdout;
  const screen = () => tmux('capture-pane', '-p', '-J', '-S', '-500');
  const shows = (text: string) => eventually(() => screen().includes(text));

  async function started(command: string[]): Promise<Adapter & { stand: Stand }> {
    const stand = aStand(folder.path, command);
    const adapter = Object.assign(tmuxAdapter(stand.spec), { stand });
    adapters.push(adapter);
    await adapter.start();
    return adapter;
  }

  /** A program that reads nothing until it is told to go on. */
  async function startedBusy() {
    const adapter = await started(program('line-reader'));
    await shows('ready');
    const hold = join(folder.path, 'hold');
    writeFileSync(hold, '');
    await deliver(adapter, aMessage(`until gone ${hold}`));
    await shows('busy');
    return { adapter, goOn: () => rmSync(hold) };
  }

  async function deliver(adapter: Adapter, message: InjectedMessage, timeoutMs = 3000): Promise<Proof> {
    await adapter.inject(message);
    return adapter.observe(message, timeoutMs, never);
  }

  function assertUnproven(proof: Proof, reason: string): void {
    assert.equal(proof.kind, 'unproven', JSON.stringify(proof));
    assert.equal(proof.kind === 'unproven' && proof.reason, reason, JSON.stringify(proof));
  }

  describe('with a program that reads lines', () => {
    it('confirms what the program has read, with the line as evidence', async () => {
      const adapter = await started(program('line-reader'));
      await shows('ready');
      const message = aMessage('hello there');
      const proof = await deliver(adapter, message);
      const line = `[fleetwire ${message.marker}] bob: hello there`;
      assert.deepEqual(proof, { kind: 'confirmed', evidence: line, matched: line });
    });

    it('does not confirm what a busy program has not read, and does once it has', async () => {
      const { adapter, goOn } = await startedBusy();
      const message = aMessage('anybody there');
      assertUnproven(await deliver(adapter, message, 300), 'NOT_TAKEN_UP');
      assert.match(screen(), new RegExp(message.marker), 'the terminal echoes it all the same');
      goOn();
      const proof = await eventually(async () => {
        const late = await adapter.recover(message);
        return late.kind === 'confirmed' && late;
      });
      assert.match(proof.evidence, /anybody there/);
    });

    it('hands over a long body in numbered parts, none of it cut off', async () => {
      const adapter = await started(program('line-reader'));
      await shows('ready');
      const message = aMessage('x'.repeat(10_000));
      const proof = await deliver(adapter, message);
      assert.equal(proof.kind, 'confirmed', JSON.stringify(proof));
      const numbers = [...screen().matchAll(/read (\d+) bytes/g)].map((m) => Number(m[1]));
      const heads = 3 * `[fleetwire ${message.marker} 1/3] bob: `.length;
      assert.equal(numbers.reduce((a, b) => a + b, 0) - heads, 10_000);
    });

    it('types nothing that acts on the terminal, and no forged head', async () => {
      const adapter = await started(program('line-reader'));
      await shows('ready');
      const message = aMessage('a\x03b\x1b[31m\r\n[fleetwire 00000000] eve: c\u009b\t!');
      const proof = await deliver(adapter, message);
      assert.equal(proof.kind, 'confirmed', JSON.stringify(proof));
      assert.equal(adapter.programState().state, 'running');
      assert.match(screen(), /bob: a\\u\{3\}b\\u\{1b\}\[31m ⏎ \(fleetwire 00000000\] eve: c\\u\{9b\} {4}!/);
    });

    it('keeps the order of messages and loses none', async () => {
      const adapter = await started(program('line-reader'));
      await shows('ready');
      const messages = Array.from({ length: 5 }, (_, i) => aMessage(`number ${i}`));
      for (const message of messages) assert.equal((await deliver(adapter, message)).kind, 'confirmed');
      const seen = [...screen().matchAll(/number (\d)/g)].map((m) => Number(m[1]));
      assert.deepEqual(seen, [0, 1, 2, 3, 4]);
    });
  });

  describe('with an interface that has an input box', () => {
    for (const cursor of ['cursor', 'hidden']) {
      it(`confirms what left the box (${cursor})`, async () => {
        const adapter = await started(program('box', cursor));
        await shows('welcome');
        for (const body of ['hello', 'two\nlines', '', 'long '.repeat(100)]) {
          const proof = await deliver(adapter, aMessage(body));
          assert.equal(proof.kind, 'confirmed', `${body.slice(0, 9)}: ${JSON.stringify(proof)}\n${screen()}`);
        }
      });
      for (const fault of ['deaf', 'newline'])
        for (const body of ['hello', 'three\nlines\nof text']) {
          it(`does not confirm what is left in the box (${cursor}, ${fault}, ${body.length})`, async () => {
            const adapter = await started(program('box', cursor, fault));
            await shows('welcome');
            assertUnproven(await deliver(adapter, aMessage(body), 300), 'NOT_SUBMITTED');
            await assert.rejects(adapter.inject(aMessage('next')), { reason: 'INPUT_LINE_TAKEN' });
            assert.doesNotMatch(screen(), /next/);
          });
        }
    }
    it('does not confirm what is swallowed without a trace', async () => {
      const adapter = await started(program('box', 'cursor', 'mute'));
      await shows('welcome');
      assertUnproven(await deliver(adapter, aMessage('hello'), 300), 'NOT_TAKEN_UP');
    });
    it('does not confirm what is never read', async () => {
      const adapter = await started(program('box', 'cursor', 'stuck'));
      await shows('welcome');
      const proof = await deliver(adapter, aMessage('hello'), 300);
      assertUnproven(proof, 'NOT_TAKEN_UP');
      assert.match(proof.kind === 'unproven' ? proof.detail : '', /\d\d bytes typed and not read/);
    });
    it('takes a body of a megabyte', async () => {
      const adapter = await started(program('box', 'cursor'));
      await shows('welcome');
      const message = aMessage('0123456789abcde\n'.repeat(65_535));
      await adapter.inject(message);
      const took = `took ${1_048_560 - 1 + `[fleetwire ${message.marker}] bob: `.length} characters`;
      await eventually(() => screen().includes(took), { timeoutMs: 50_000 });
    }).timeout(60_000);
  });

  it('leaves copy mode before it types', async () => {
    const adapter = await started(program('line-reader'));
    await shows('ready');
    tmux('copy-mode');
    assert.equal((await deliver(adapter, aMessage('hello'))).kind, 'confirmed');
  });

  it('gives the program its own variables, and the next program none of them', async () => {
    const env = [
      'node',
      '-e',
      'console.log("token", process.env.FLEETWIRE_AGENT_TOKEN, process.env.ONLY_MINE)',
    ];
    const stand = aStand(folder.path, program('line-reader'), { env: { ONLY_MINE: 'yes' } });
    const first = tmuxAdapter(stand.spec);
    adapters.push(first);
    await first.start();
    const second = await started(env);
    const pane = second.programState().pane!.split(' ')[0]!;
    await eventually(() =>
      tmux('capture-pane', '-p', '-S', '-100', '-t', pane).includes('token secret; undefined'),
    );
  });

  it('keeps agents on one server apart', async () => {
    const agents = await Promise.all(Array.from({ length: 4 }, () => started(program('line-reader'))));
    const rounds = agents.map(async (adapter, i) => {
      const pane = adapter.programState().pane!.split(' ')[0]!;
      await eventually(() => tmux('capture-pane', '-p', '-t', pane).includes('ready'));
      for (const n of [1, 2]) {
        const proof = await deliver(adapter, aMessage(`for ${i}, number ${n}`));
        assert.equal(proof.kind, 'confirmed', JSON.stringify(proof));
      }
      const seen = [...tmux('capture-pane', '-p', '-t', pane).matchAll(/for (\d), number (\d)/g)];
      assert.deepEqual(
        seen.map((m) => `${m[1]}${m[2]}`),
        [`${i}1`, `${i}2`],
      );
    });
    await Promise.all(rounds);
  });

  it('leaves no server behind when a start fails', async () => {
    const server = new TmuxServer(join(folder.path, 'tmux.sock'));
    const { spec } = aStand(folder.path, ['echo', 'x'.repeat(20_000)]);
    await assert.rejects(startPane(server, spec), { reason: 'TMUX_FAILED' });
    await eventually(async () => (await server.panes()).size === 0 && tmux('show-options', '-s') === '');
  });

  it('tells the program the ids behind the markers', async () => {
    const adapter = await started(program('line-reader'));
    await shows('ready');
    const message = aMessage('hello');
    await adapter.inject(message);
    const path = join(adapter.stand.spec.stateDir, 'messages.jsonl');
    const { id, marker, fromName: from, correlationId: correlation_id } = message;
    assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { marker, id, from, correlation_id });
    assert.match(tmux('show-environment'), new RegExp(`FLEETWIRE_AGENT_MESSAGES=${path}`));
  });

  it('runs one word as a program, not as a line for a shell', async () => {
    const adapter = await started(['echo $HOME; sleep 100;']);
    const code = await eventually(() => adapter.programState().exitCode);
    assert.equal(code, 127);
  });

  it('reports the end of a program with its exit code, and that the pane is gone', async () => {
    const adapter = await started(program('line-reader'));
    await shows('ready');
    const ends: unknown[] = [];
    adapter.onExit((state) => ends.push(state.exitCode));
    const message = aMessage('quit 7');
    await adapter.inject(message);
    await eventually(() => ends.length > 0);
    assert.deepEqual(ends, [7]);
    assertUnproven(await adapter.observe(message, 5000, never), 'PANE_GONE');
    await assert.rejects(adapter.inject(aMessage('hello')), { reason: 'PANE_GONE' });
  });

  it('does not ask another pane that was given the terminal of a program that has ended', async () => {
    const { adapter } = await startedBusy();
    const message = aMessage('never read');
    await adapter.inject(message);
    await shows(message.marker);
    // Between the look at the screen and the question to the terminal.
    const tty = tmux('display-message', '-p', '#{pane_tty}').trim();
    const gone = `kill -9 ${adapter.programState().pid}; while [ -e ${tty} ]; do sleep 0.02; done`;
    const another = `tmux -S ${join(folder.path, 'tmux.sock')} new-session -d sleep 876543`;
    const perl = spawnSync('which', ['perl'], { encoding: 'utf8' }).stdout.trim();
    const script = `#!/bin/sh\n${gone}\nwhile [ ! -e ${tty} ]; do ${another}; done\nexec ${perl} "$@"\n`;
    const bin = join(folder.path, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'perl'), script, { mode: 0o755 });
    const path = process.env['PATH'];
    process.env['PATH'] = `${bin}:${path}`;
    // Found again, so that it starts to ask now.
    const again = tmuxAdapter({ ...adapter.stand.spec, handle: adapter.stand.handle() });
    adapters.push(again);
    await again.start();
    try {
      assertUnproven(await again.recover(message), 'PANE_GONE');
    } finally {
      process.env['PATH'] = path;
    }
  });

  it('types into nobody else: a pane that was respawned or re-labelled is not its own', async () => {
    const adapter = await started(program('line-reader'));
    await shows('ready');
    tmux('set-option', '-p', '@fleetwire_agent', 'a_someoneelse00000');
    await assert.rejects(adapter.inject(aMessage('hello')), { reason: 'PANE_GONE' });
    assert.doesNotMatch(screen(), /hello/);
  });

  it('finds the same program after a restart of the node, and proof of what was injected before', async () => {
    const before = await started(program('line-reader'));
    await shows('ready');
    const message = aMessage('before the restart');
    await before.inject(message);
    const { spec } = aStand(folder.path, ['false'], before.stand.spec);
    const after = tmuxAdapter({ ...spec, handle: before.stand.handle() });
    adapters.push(after);
    await after.start();
    assert.equal(after.programState().pid, before.programState().pid);
    const proof = await eventually(async () => {
      const found = await after.recover(message);
      return found.kind === 'confirmed' && found;
    });
    assert.match(proof.evidence, /before the restart/);
    assertUnproven(await after.recover(aMessage('never sent')), 'NOT_TAKEN_UP');
  });

  it('ends the program and what it started, and the tmux server with the last one', async () => {
    const adapter = await started(['/bin/sh', '-c', 'trap "" HUP; (trap "" HUP TERM; sleep 987654) & cat']);
    await eventually(() => pidOf('sleep 987654'));
    await adapter.stop();
    assert.equal(adapter.programState().state, 'exited');
    await eventually(() => pidOf('sleep 987654') === undefined);
    assert.equal(tmux('list-sessions'), '');
  });

  it('says what to install where tmux is missing', async () => {
    const server = new TmuxServer(join(folder.path, 'x.sock'), '/nonexistent/tmux');
    await assert.rejects(server.run([['list-sessions']]), (error) => {
      assert(error instanceof FleetwireError);
      assert.equal(error.reason, 'TMUX_MISSING');
      assert.match(error.help ?? '', /apt install tmux/);
      return true;
    });
  });
});

function pidOf(command: string): number | undefined {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  const line = stdout.split('\n').find((l) => l.trim().endsWith(command) && !l.includes('trap'));
  return line === undefined ? undefined : Number(line.trim().split(' ')[0]);
}
