/**
 * Measures how soon a message to a program in tmux is confirmed: node services/node/test/measure-confirm.ts [messages].
 * From the program's own clock, when it has drawn the submitted text, to the receipt in the sender's hands; and how long a
 * bare look at the pane takes. Prints one JSON object. Not a test.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stage } from '@fleetwire/gen/message';
import { eventually, silentLog, tempFolder } from '@fleetwire/testkit';
import { tmuxAdapter } from '../src/adapters/tmux.ts';
import { findPane, HISTORY, lookAt } from '../src/adapters/tmux-pane.ts';
import { tmuxServer } from '../src/adapters/tmux-server.ts';
import { ProgramRunner } from '../src/mail/program-runner.ts';
import { aStand, program } from './adapters/stand.ts';
import { addAgent, entryFor, hold, NODE, testEngine } from './engine-fixture.ts';

const messages = Math.max(1, Number(process.argv[2] ?? 120));
await using folder = tempFolder('measure-confirm');
const test = await testEngine();
const drawn = join(folder.path, 'drawn');
const stand = aStand(folder.path, program('box', 'cursor', `log=${drawn}`));
const adapter = tmuxAdapter(stand.spec);
const bob = await addAgent(test.engine, 'bob', 'tmux');
await adapter.start();
try {
  const server = tmuxServer(join(folder.path, 'tmux.sock'));
  const { pane: place, pid } = adapter.programState();
  const pane = (await findPane(server, stand.spec.agent, place!.split(' ')[0]!, pid!))!;
  const screen = async () => (await lookAt(server, stand.spec.agent, pane, 0)).screen?.rows.join() ?? '';
  await eventually(async () => (await screen()).includes('welcome'));
  const { clock, engine } = test;
  const { custody, turns, progress } = engine;
  const config = { observeMs: 5000, lateProofMs: 60_000, log: silentLog, injected: () => undefined };
  const runner = new ProgramRunner({ agent: bob, adapter, clock, custody, turns, ...config });
  runner.begin();
  const receipts: number[] = [];
  const injections: number[] = [];
  for (let i = 0; i < messages; i++) {
    const entry = entryFor(bob.id, clock, { id: idOf(i), fromNode: NODE, body: Buffer.from(`number ${i}`) });
    const sentUs = nowUs();
    await hold(test, bob, entry);
    await progress.wait(idOf(i), Stage.UNSPECIFIED, 20_000, new AbortController().signal);
    receipts.push(nowUs());
    injections.push(nowUs() - sentUs);
  }
  const looks: number[] = [];
  for (let i = 0; i < messages; i++) {
    const before = nowUs();
    await lookAt(server, stand.spec.agent, pane, HISTORY.observe);
    looks.push(nowUs() - before);
  }
  await runner.end();
  const shown = readFileSync(drawn, 'utf8').trim().split('\n').map(Number);
  if (shown.length !== messages) throw new Error(`${shown.length} of ${messages} messages were drawn`);
  const waits = receipts.map((at, i) => at - shown[i]!);
  const result = { messages, confirm: figures(waits), whole: figures(injections), look: figures(looks) };
  console.log(JSON.stringify(result));
} finally {
  await adapter.stop();
  spawnSync('tmux', ['-S', join(folder.path, 'tmux.sock'), 'kill-server'], { stdio: 'ignore' });
  await test.close();
}

/** 26 characters, all of them of the alphabet of ids, so that each has a marker of its own. */
function idOf(i: number): string {
  return `01m7y55pvgja${String(i).padStart(14, '0')}`;
}

function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

function figures(us: readonly number[]): { median_ms: number; p95_ms: number; max_ms: number } {
  const sorted = us.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)]! / 10) / 100;
  return { median_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1) };
}
