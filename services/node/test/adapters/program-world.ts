// A world whose programs the node starts itself, in panes or on pipes: real processes behind a real runner.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Envelope } from '@fleetwire/gen/message';
import { eventually, silentLog } from '@fleetwire/testkit';
import type { Adapter, AdapterFactory, AdapterSpec } from '../../src/adapters/port.ts';
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
import type { AgentName, Told, World } from './world.ts';

interface Hosted {
  readonly spec: AdapterSpec;
  readonly handle: () => string;
  readonly record: string;
  readonly hold: string;
  adapter: Adapter;
  runner: ProgramRunner;
}

const HEAD = /^\[fleetwire ([0-9a-z]{8})(?: (\d+)\/(\d+))?\] bob: /;
const NAMES = ['bob', 'carol'] as const;

export async function programWorld(
  folder: string,
  factory: AdapterFactory,
  mode: string,
): Promise<ProgramWorld> {
  const test = await testEngine();
  const world = new ProgramWorld(test, folder, factory, mode);
  for (const name of NAMES) await world.add(name);
  return world;
}

export class ProgramWorld implements World {
  readonly #folder: string;
  readonly #factory: AdapterFactory;
  readonly #mode: string;
  readonly #hosted = new Map<AgentName, Hosted>();
  #test: TestEngine;

  constructor(test: TestEngine, folder: string, factory: AdapterFactory, mode: string) {
    this.#test = test;
    this.#folder = folder;
    this.#factory = factory;
    this.#mode = mode;
  }

  async add(name: AgentName): Promise<void> {
    const record = join(this.#folder, `${name}.taken`);
    const held = join(this.#folder, `${name}.hold`);
    const { spec, handle } = aStand(this.#folder, program('taker', this.#mode, record, held));
    const adapter = this.#factory(spec);
    await addAgent(this.#test.engine, name, adapter.kind);
    const hosted = { spec, handle, record, hold: held, adapter, runner: this.#runner(name, adapter) };
    this.#hosted.set(name, hosted);
    await this.#begin(hosted);
  }

  #runner(name: AgentName, adapter: Adapter): ProgramRunner {
    const { clock, engine } = this.#test;
    const { custody, turns } = engine;
    const parts = { agent: engine.book.named(name), adapter, clock, custody, turns, log: silentLog };
    return new ProgramRunner({ ...parts, observeMs: 1500, lateProofMs: 60_000, injected: () => undefined });
  }

  async #begin(hosted: Hosted): Promise<void> {
    const readyBefore = this.#notes(hosted).filter((note) => note === 'ready').length;
    const known = hosted.handle();
    await hosted.adapter.start();
    const again = known !== '' && known === hosted.handle();
    if (!again) await eventually(() => this.#notes(hosted).filter((n) => n === 'ready').length > readyBefore);
    hosted.runner.begin();
  }

  agent(name: AgentName): Hosted {
    return this.#hosted.get(name)!;
  }

  async send(to: AgentName, ...bodies: (string | Uint8Array)[]): Promise<string[]> {
    const agent = this.#test.engine.book.named(to);
    const ids: string[] = [];
    for (const text of bodies) {
      const body = typeof text === 'string' ? new TextEncoder().encode(text) : text;
      const entry = entryFor(agent.id, this.#test.clock, { body, fromName: 'bob' });
      await hold(this.#test, agent, entry);
      ids.push(idIn(entry.envelope));
    }
    return ids;
  }

  told(id: string): Told[] {
    return this.receipts(id).map(({ stage, reason }) => [stage, reason] as const);
  }

  receipts(id: string) {
    return receiptsFor(this.#test.engine, OTHER_NODE).filter((r) => r.messageId === id && r.final);
  }

  taken(agent: AgentName): unknown[] {
    const taken: unknown[] = [];
    for (const note of this.#notes(this.agent(agent))) {
      if (note === 'ready') continue;
      if (typeof note !== 'string' || this.#mode === 'json') taken.push(note);
      else {
        const [head, , part] = HEAD.exec(note) ?? [''];
        if (part !== undefined && part !== '1')
          taken.push(`${String(taken.pop())}${note.slice(head.length)}`);
        else taken.push(note.slice(head.length));
      }
    }
    return taken;
  }

  #notes({ record }: Hosted): unknown[] {
    if (!existsSync(record)) return [];
    const lines = readFileSync(record, 'utf8').split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line) as unknown);
  }

  depth(agent: AgentName): number {
    const { queue } = this.#test.engine.book.named(agent);
    return queue.waiting.length + queue.attempted.size;
  }

  async pause(agent: AgentName): Promise<void> {
    const { hold: file } = this.agent(agent);
    writeFileSync(file, '');
    await eventually(() => existsSync(`${file}.on`));
  }

  async resume(agent: AgentName): Promise<void> {
    rmSync(this.agent(agent).hold, { force: true });
  }

  async die(agent: AgentName): Promise<void> {
    const { adapter, hold: file } = this.agent(agent);
    process.kill(adapter.programState().pid!, 'SIGKILL');
    await eventually(() => adapter.programState().state === 'exited');
    rmSync(file, { force: true });
    rmSync(`${file}.on`, { force: true });
  }

  async revive(agent: AgentName): Promise<void> {
    await this.#replace(agent, '');
  }

  async #replace(agent: AgentName, handle: string): Promise<void> {
    const hosted = this.agent(agent);
    await hosted.runner.end();
    hosted.adapter = this.#factory({ ...hosted.spec, handle });
    hosted.runner = this.#runner(agent, hosted.adapter);
    await this.#begin(hosted);
  }

  /** What it observes it does not conclude any more: the next start of the node looks again. */
  async crash(): Promise<void> {
    const ends = NAMES.map((name) => this.agent(name).runner.end());
    this.#test = await this.#test.crash();
    await Promise.all(ends);
    for (const name of NAMES) await this.#replace(name, this.agent(name).handle());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { adapter, runner, hold: file } of this.#hosted.values()) {
      rmSync(file, { force: true });
      await adapter.stop();
      await runner.end();
    }
    spawnSync('tmux', ['-S', join(this.#folder, 'tmux.sock'), 'kill-server'], { stdio: 'ignore' });
    await this.#test.close();
  }
}

function idIn(envelope: Uint8Array): string {
  return Envelope.decode(envelope).id;
}
