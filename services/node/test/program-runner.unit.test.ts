/**
 * Goal: a program gets one message at a time, never one twice; every outcome of inject, observe and recover has its end.
 * Method: a scripted adapter over a real database file.
 */

import assert from 'node:assert/strict';
import { type Receipt, Stage } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, silentLog as log } from '@fleetwire/testkit';
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
  proof: Proof = { kind: 'confirmed', evidence: 'seen', matched: 'the line' };
  state: ProgramState = { state: 'running' };
  fault: (() => Error | undefined) | undefined;
  observing = 0;
  release: Promise<void> = Promise.resolve();
  readonly lateWaits: number[] = [];
  readonly late = Promise.withResolvers<Proof>();
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
  async observeLate(_message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof> {
    this.lateWaits.push(timeoutMs);
    const aborted = new Promise<Proof>((resolve) =>
      signal.addEventListener('abort', () => resolve(this.proof), { once: true }),
    );
    return Promise.race([this.late.promise, aborted]);
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
    const parts = { agent: book.named('bob'), adapter, clock, custody, turns, log };
    runner = new ProgramRunner({ ...parts, observeMs: 5000, lateProofMs: 60_000, injected: () => {} });
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

  it('puts the evidence into the receipt: the line, where and when', async () => {
    adapter.state = { state: 'running', pid: 77, pane: '%3 on /a/socket' };
    await send('1');
    await eventually(() => stages().length === 1);
    const [{ proof, hops }] = receiptsFor(test.engine, OTHER_NODE) as [Receipt];
    const { injectedAtUs, detectedAtUs, ...said } = proof!;
    assert.deepEqual(said, { source: 'tmux', matched: 'the line', place: 'pane %3, process 77', attempt: 0 });
    assert.equal(injectedAtUs, hops.find((hop) => hop.stage === Stage.DELIVERED)?.atUs);
    assert.ok(detectedAtUs >= injectedAtUs);
    assert.ok(detectedAtUs <= hops.at(-1)!.atUs);
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

  describe('while proof is pending', () => {
    const pending: Proof = { kind: 'unproven', reason: 'NOT_TAKEN_UP', detail: 'busy', pending: true };
    const seen: Proof = { kind: 'confirmed', evidence: 'seen', matched: 'the line' };
    const told = (count: number) => eventually(() => stages().length === count);
    beforeEach(() => {
      adapter.proof = pending;
    });

    it('tells the sender, keeps the next message back, and upgrades by late proof', async () => {
      await send('1', '2');
      await told(1);
      await eventually(() => adapter.lateWaits.length === 1);
      const { queue } = test.engine.book.named('bob');
      assert.deepEqual([queue.attempted.size, queue.waiting.length], [1, 1]);
      assert.deepEqual(adapter.injected, ['1']);
      adapter.proof = seen;
      adapter.late.resolve(seen);
      await told(3);
      const confirmed = [Stage.CONFIRMED, ''];
      assert.deepEqual(stages(), [[Stage.UNCONFIRMED, 'NOT_TAKEN_UP'], confirmed, confirmed]);
      assert.deepEqual(adapter.injected, ['1', '2']);
    });

    for (const reason of ['NOT_TAKEN_UP', 'PANE_GONE'])
      it(`ends without proof, told once, and goes on (${reason})`, async () => {
        await send('1', '2');
        await eventually(() => adapter.lateWaits.length === 1);
        adapter.proof = seen;
        adapter.late.resolve({ kind: 'unproven', reason, detail: 'the last look' });
        await told(2);
        assert.deepEqual(stages(), [
          [Stage.UNCONFIRMED, 'NOT_TAKEN_UP'],
          [Stage.CONFIRMED, ''],
        ]);
        assert.equal(test.engine.custody.depth, 0);
        assert.equal(test.engine.book.named('bob').unproven.size, 1);
      });

    it('waits no longer than the bound, nor beyond the deadline', async () => {
      await send('1');
      await eventually(() => adapter.lateWaits.length === 1);
      assert.equal(adapter.lateWaits[0], 60_000);
      test.clock.ahead = 270_000_000;
      adapter.late.resolve(pending);
      await eventually(() => test.engine.custody.depth === 0);
      test.clock.ahead = 0;
      const bob = test.engine.book.named('bob');
      const late = entryFor(bob.id, test.clock, { body: new TextEncoder().encode('2') });
      await hold(test, bob, { ...late, deadlineUs: test.clock.nowUs() + 20_000_000 });
      await eventually(() => adapter.lateWaits.length === 2);
      assert(adapter.lateWaits[1]! <= 20_000, `${adapter.lateWaits[1]}`);
    });

    it('waits for nothing where no proof can come', async () => {
      adapter.proof = { kind: 'unproven', reason: 'PROGRAM_EXITED', detail: '' };
      await send('1', '2');
      await told(2);
      assert.deepEqual([adapter.injected, adapter.lateWaits], [['1', '2'], []]);
    });

    it('stays attempted when the node ends, and is waited for again after the start', async () => {
      await send('1', '2');
      await eventually(() => adapter.lateWaits.length === 1);
      await runner.end();
      assert.equal(test.engine.custody.depth, 2);
      test = await test.crash();
      adapter = new ScriptedAdapter();
      adapter.proof = pending;
      run();
      await eventually(() => adapter.lateWaits.length === 1);
      assert.deepEqual([adapter.recovered, adapter.injected], [['1'], []]);
      adapter.proof = seen;
      adapter.late.resolve(seen);
      await eventually(() => test.engine.custody.depth === 0);
      assert.deepEqual(adapter.injected, ['2']);
      assert.deepEqual(
        stages().map(([stage]) => stage),
        [Stage.UNCONFIRMED, Stage.UNCONFIRMED, Stage.CONFIRMED, Stage.CONFIRMED],
      );
    });
  });
});
