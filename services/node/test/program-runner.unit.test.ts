/**
 * Goal: a program gets one message at a time, never one twice; every outcome of inject, observe and recover has its end.
 * Method: a scripted adapter over a real database file.
 */

import assert from 'node:assert/strict';
import { Stage } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import { createLog } from '@fleetwire/telemetry';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Adapter, InjectedMessage, ProgramState, Proof } from '../src/adapters/port.ts';
import { ProgramRunner } from '../src/mail/program-runner.ts';
import {
  addAgent,
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  testEngine,
} from './engine-fixture.ts';

class ScriptedAdapter implements Adapter {
  readonly kind = 'tmux';
  readonly injected: string[] = [];
  readonly recovered: string[] = [];
  proof: Proof = { kind: 'confirmed', evidence: 'seen' };
  state: ProgramState = { state: 'running' };
  fault: (() => Error | undefined) | undefined;
  observing = 0;
  release: Promise<void> = Promise.resolve();
  async start(): Promise<void> {}
  async inject(message: InjectedMessage): Promise<void> {
    const fault = this.fault?.();
    if (fault !== undefined) throw fault;
    this.injected.push(Buffer.from(message.body).toString());
  }
  async observe(): Promise<Proof> {
    this.observing++;
    await this.release;
    this.observing--;
    return this.proof;
  }
  async recover(message: InjectedMessage): Promise<Proof> {
    this.recovered.push(Buffer.from(message.body).toString());
    return this.proof;
  }
  programState(): ProgramState {
    return this.state;
  }
  onExit(): void {}
  async stop(): Promise<void> {}
}

describe('program runner', () => {
  let test: TestEngine;
  let adapter: ScriptedAdapter;
  let runner: ProgramRunner;
  const log = createLog({ service: 'node', instance: 'test', version: '0', level: 'silent' });
  beforeEach(async () => {
    test = await testEngine();
    await addAgent(test.engine, 'bob', 'tmux');
    adapter = new ScriptedAdapter();
    run();
  });
  afterEach(async () => {
    await runner.end();
    await test.close();
  });

  function run() {
    const { clock, custody, turns, book } = test.engine;
    const parts = { agent: book.named('bob'), adapter, observeMs: 5000, clock, custody, turns, log };
    runner = new ProgramRunner({ ...parts, injected: () => {} });
    runner.begin();
  }
  async function send(...texts: string[]) {
    const bob = test.engine.book.named('bob');
    for (const text of texts)
      await hold(test, bob, entryFor(bob.id, test.clock, { body: new TextEncoder().encode(text) }));
  }
  const stages = () => receiptsFor(test.engine, OTHER_NODE).map((r) => [r.stage, r.reason]);

  it('injects in order, one at a time, and confirms with the evidence', async () => {
    let open = () => {};
    adapter.release = new Promise((resolve) => {
      open = resolve;
    });
    await send('1', '2', '3');
    await eventually(() => adapter.observing === 1);
    assert.deepEqual(adapter.injected, ['1']);
    open();
    await eventually(() => stages().length === 3);
    assert.deepEqual(adapter.injected, ['1', '2', '3']);
    const [receipt] = receiptsFor(test.engine, OTHER_NODE);
    assert.deepEqual([receipt?.stage, receipt?.detail], [Stage.CONFIRMED, 'seen']);
    assert.deepEqual(
      receipt?.hops.map((hop) => hop.stage),
      [Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.DELIVERED, Stage.CONFIRMED],
    );
  });

  it('ends without proof as unconfirmed, with the reason', async () => {
    adapter.proof = { kind: 'unproven', reason: 'NO_MARKER', detail: 'not seen' };
    await send('1');
    await eventually(() => stages().length === 1);
    assert.deepEqual(stages(), [[Stage.UNCONFIRMED, 'NO_MARKER']]);
  });

  it('looks only, after a crash between the attempt and its end', async () => {
    adapter.release = new Promise(() => {});
    await send('1', '2');
    await eventually(() => adapter.observing === 1);
    test = await test.crash();
    const before = adapter.injected;
    adapter = new ScriptedAdapter();
    run();
    await eventually(() => stages().length === 2);
    assert.deepEqual(before, ['1']);
    assert.deepEqual([adapter.recovered, adapter.injected], [['1'], ['2']]);
  });

  it('tries again what certainly did not reach the program', async () => {
    let faults = 2;
    adapter.fault = () =>
      faults-- > 0 ? new FleetwireError('unavailable', 'PANE_BUSY', 'not now') : undefined;
    await send('1', '2');
    await eventually(() => stages().length === 2);
    assert.deepEqual(adapter.injected, ['1', '2']);
  });

  it('gives mail back that never reaches a program that runs', async () => {
    adapter.fault = () => new FleetwireError('failed_precondition', 'PANE_GONE', 'no pane');
    await send('1');
    await eventually(() => stages().length === 1);
    assert.deepEqual(stages(), [[Stage.RETURNED, 'PANE_GONE']]);
  }).timeout(20_000);

  it('keeps the mail of a program that has ended', async () => {
    adapter.fault = () => {
      adapter.state = { state: 'exited', exitCode: 1 };
      return new FleetwireError('failed_precondition', 'PROGRAM_EXITED', 'gone');
    };
    await send('1', '2');
    await eventually(() => adapter.state.state === 'exited');
    await eventually(() => test.engine.book.named('bob').queue.waiting.length === 2);
    adapter = new ScriptedAdapter();
    run();
    await eventually(() => stages().length === 2);
    assert.deepEqual(adapter.injected, ['1', '2']);
  });

  it('does not inject again after an injection in doubt', async () => {
    adapter.fault = () => new Error('broken pipe, perhaps');
    adapter.proof = { kind: 'unproven', reason: 'NO_MARKER', detail: '' };
    await send('1');
    await eventually(() => stages().length === 1);
    assert.deepEqual(stages(), [[Stage.UNCONFIRMED, 'NO_MARKER']]);
    assert.deepEqual(adapter.injected, []);
  });
});
