// Goal: a program on pipes confirms by its own word only, and can neither block the node nor outlive its end.
// Method: real child processes that behave, keep silent, never read, or flood.

import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Adapter, AdapterSpec, Proof } from '../../src/adapters/port.ts';
import { stdioAdapter } from '../../src/adapters/stdio.ts';
import { aMessage, aStand, program, type Stand } from './stand.ts';

const never = new AbortController().signal;

describe('stdio adapter', () => {
  let folder: TempFolder;
  let adapters: Adapter[];
  beforeEach(() => {
    folder = tempFolder('stdio');
    adapters = [];
  });
  afterEach(async () => {
    for (const adapter of adapters) await adapter.stop();
    await folder[Symbol.asyncDispose]();
  });

  async function started(command: string[], over: Partial<AdapterSpec> = {}) {
    const stand = aStand(folder.path, command, over);
    const adapter: Adapter = stdioAdapter(stand.spec);
    adapters.push(adapter);
    await adapter.start();
    return { adapter, stand };
  }
  const log = (stand: Stand) => {
    const path = join(stand.spec.stateDir, 'program.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const logs = (stand: Stand, text: string) => eventually(() => log(stand).includes(text));
  const reasonOf = (proof: Proof) => (proof.kind === 'unproven' ? proof.reason : proof.kind);

  it('confirms what the program acknowledges', async () => {
    const { adapter, stand } = await started(program('json-lines'));
    for (const body of ['hello', 'two\nlines', Uint8Array.of(255, 0)]) {
      const message = aMessage(body);
      await adapter.inject(message);
      const proof = await adapter.observe(message, 10_000, never);
      assert.equal(proof.kind === 'confirmed' && proof.matched, `{"type":"ack","id":"${message.id}"}`);
      assert.equal(reasonOf(await adapter.recover(message)), 'NOT_ACKNOWLEDGED', 'proof is given once');
    }
    await logs(stand, '"/wA="');
    await logs(stand, '"two\\nlines"');
  });

  it('does not confirm what is not acknowledged, and stops waiting when told to', async () => {
    const { adapter } = await started(program('json-lines', 'silent'));
    const message = aMessage('hello');
    await adapter.inject(message);
    assert.equal(reasonOf(await adapter.observe(message, 50, never)), 'NOT_ACKNOWLEDGED');
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 10);
    assert.equal(reasonOf(await adapter.observe(message, 60_000, stop.signal)), 'NOT_ACKNOWLEDGED');
  });

  it('puts what is not an instruction, and all errors, into a log of bounded size', async () => {
    const { adapter, stand } = await started(program('json-lines'));
    await logs(stand, 'a line for people');
    await logs(stand, 'token secret;');
    for (let i = 0; i < 15; i++) {
      const message = aMessage(`${i}`.repeat(100_000));
      await adapter.inject(message);
      await adapter.observe(message, 10_000, never);
    }
    await logs(stand, '"141414');
    const path = join(stand.spec.stateDir, 'program.log');
    assert(statSync(path).size + statSync(`${path}.1`).size <= 1024 * 1024);
  });

  it('sends for the program, and tells it how that went', async () => {
    const send = async () => {
      throw new FleetwireError('not_found', 'UNKNOWN_AGENT', 'no bob', { help: 'Look around.' });
    };
    const good = await started(program('json-lines'));
    await good.adapter.inject(aMessage('send'));
    await logs(good.stand, '{"heard":{"type":"sent","ref":"r1","id":"');
    const { to, body, replyTo } = good.stand.sent[0]!;
    assert.deepEqual([to, Buffer.from(body).toString(), replyTo?.length], ['bob', 'hi', 26]);
    await good.adapter.inject(aMessage('bad send'));
    await logs(good.stand, '"type":"error","ref":"r2","kind":"invalid_argument","reason":"INVALID_LINE"');
    const bad = await started(program('json-lines'), { send });
    await bad.adapter.inject(aMessage('send'));
    await logs(bad.stand, '"ref":"r1","kind":"not_found","reason":"UNKNOWN_AGENT","message":"no bob"');
  });

  it('survives a line without end', async () => {
    const { adapter, stand } = await started(program('json-lines'));
    await adapter.inject(aMessage('long'));
    await logs(stand, '(a line that was too long)');
    await logs(stand, 'a line is longer than');
  });

  it('refuses more for a program that does not read, instead of blocking or growing', async () => {
    const { adapter } = await started(program('json-lines', 'deaf'));
    const megabyte = 'z'.repeat(1024 * 1024 - 1000);
    await assert.rejects(
      async () => {
        for (let i = 0; i < 20; i++) await adapter.inject(aMessage(megabyte));
      },
      { kind: 'resource_exhausted', reason: 'PROGRAM_NOT_READING' },
    );
    const proof = await adapter.recover(aMessage('x'));
    assert.equal(proof.kind, 'unproven');
  });

  it('reads no further from a program that sends faster than the disk takes it', async () => {
    let calls = 0;
    const send = () => {
      calls++;
      return new Promise<never>(() => undefined);
    };
    await started(program('json-lines', 'flood'), { send });
    await eventually(() => calls >= 256);
    // One chunk of a pipe holds some dozens of such lines.
    assert(calls <= 256 + 70, `${calls} sends`);
  });

  it('reports the end with its exit code; what was not acknowledged stays unproven', async () => {
    const { adapter } = await started(program('json-lines', 'silent'));
    const ends: unknown[] = [];
    adapter.onExit((state) => ends.push(state.exitCode));
    const message = aMessage('quit');
    await adapter.inject(message);
    assert.equal(reasonOf(await adapter.observe(message, 60_000, never)), 'PROGRAM_EXITED');
    assert.deepEqual(ends, [3]);
    await assert.rejects(adapter.inject(aMessage('hello')), { reason: 'PROGRAM_EXITED' });
    assert.equal(reasonOf(await adapter.observe(aMessage('hello'), 60_000, never)), 'NOT_ACKNOWLEDGED');
  });

  it('ends the program with all that it started, even what ignores SIGTERM', async () => {
    const script = 'trap "" TERM; sleep 100000 & echo child $! 1>&2; wait; wait; sleep 100000';
    const { adapter, stand } = await started(['/bin/sh', '-c', script]);
    const child = await eventually(() => /child (\d+)/.exec(log(stand))?.[1]);
    const { pid } = adapter.programState();
    await adapter.stop();
    assert.equal(adapter.programState().state, 'exited');
    await eventually(() => isGone(pid!) && isGone(Number(child)));
  });

  it('starts again after a restart of the node, in place of the earlier child', async () => {
    const before = await started(program('json-lines', 'deaf'));
    const message = aMessage('hello');
    await before.adapter.inject(message);
    const after = stdioAdapter({ ...before.stand.spec, handle: before.stand.handle() });
    adapters.push(after);
    await after.start();
    await eventually(() => isGone(before.adapter.programState().pid ?? 0));
    assert.equal(reasonOf(await after.recover(message)), 'NOT_ACKNOWLEDGED');
  });

  it('says what could not be started', async () => {
    await assert.rejects(started(['/nonexistent/program']), { reason: 'PROGRAM_NOT_STARTED' });
    await assert.rejects(started([]), { reason: 'NO_COMMAND' });
  });
});

/** A process that was not yet waited for counts as gone. */
function isGone(pid: number): boolean {
  if (pid === 0) return true;
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
}
