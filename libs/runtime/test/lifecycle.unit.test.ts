// Goal: whatever happens while a service starts, serves or ends, what was opened is closed once, in reverse, in bounded time.
// Method: lives with made-up parts that hang, fail or take their time; random lives against a simple model.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';

import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Lifecycle, nextState } from '../src/lifecycle.ts';

function life(graceMs = 1000, forceMs = 1000) {
  const trail: string[] = [];
  const lifecycle = new Lifecycle({ graceMs, forceMs, report: (line) => trail.push(line) });
  const part = (name: string, close: () => Promise<void> | void = () => undefined) =>
    lifecycle.open(
      name,
      () => trail.push(`open ${name}`),
      (_value, how) => {
        trail.push(`close ${name}${how.forced ? ' by force' : ''}`);
        return close();
      },
    );
  return { lifecycle, trail, part };
}

const hang = () => new Promise<void>(() => undefined);

describe('Lifecycle', () => {
  it('opens in order and closes in reverse', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    await part('b');
    lifecycle.serve();
    await part('c').catch(() => assert.fail());
    await lifecycle.stop('test');
    const expected = [
      'open a',
      'open b',
      'serving',
      'open c',
      'draining',
      'close c',
      'close b',
      'close a',
      'stopped',
    ];
    assert.deepEqual(trail, expected);
    assert.equal(lifecycle.state, 'stopped');
  });

  it('stops once, however often it is asked', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    await Promise.all([lifecycle.stop('1'), lifecycle.stop('2')]);
    await lifecycle.stop('3');
    assert.equal(trail.filter((line) => line === 'close a').length, 1);
  });

  it('closes what was opened when a part cannot be opened, and ends with that error', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    const fault = new FleetwireError('unavailable', 'DATABASE_AWAY', 'no');
    await assert.rejects(
      lifecycle.open(
        'b',
        () => Promise.reject(fault),
        () => assert.fail(),
      ),
      fault,
    );
    lifecycle.fail(fault);
    await assert.rejects(lifecycle.ended, fault);
    assert.deepEqual(trail, ['open a', 'draining', 'close a', 'failed']);
  });

  it('closes a part whose opening was under way when the stop came', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    const opened = Promise.withResolvers<void>();
    const opening = lifecycle.open(
      'slow',
      () => opened.promise,
      () => void trail.push('close slow'),
    );
    const stopped = lifecycle.stop('test');
    assert.ok(lifecycle.leaving.aborted, 'who waits is told to give up');
    opened.resolve();
    await assert.rejects(opening, { reason: 'STOPPING' });
    await stopped;
    assert.deepEqual(trail, ['open a', 'draining', 'close slow', 'close a', 'stopped']);
    await assert.rejects(part('late'), { reason: 'STOPPING' });
  });

  it('fails by a fault while serving', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    lifecycle.serve();
    lifecycle.fail(new Error('broken'));
    await assert.rejects(lifecycle.ended, { reason: 'INTERNAL' });
    assert.deepEqual(trail.slice(-2), ['close a', 'failed']);
    await assert.rejects(lifecycle.stop('later'), { reason: 'INTERNAL' });
  });

  it('goes on when a part fails to close', async () => {
    const { lifecycle, trail, part } = life();
    await part('a');
    await part('b', () => Promise.reject(new Error('no')));
    await lifecycle.stop('test');
    assert.ok(trail.includes('close a') && trail.includes('a part failed to close'));
  });

  it('leaves a part that hangs behind after the grace time, and forces the rest', async () => {
    const { lifecycle, trail, part } = life(30, 1000);
    await part('a');
    await part('b', hang);
    await assert.rejects(lifecycle.stop('test'), { reason: 'STOP_TIMEOUT' });
    assert.ok(trail.includes('close b') && trail.includes('close a by force') && trail.includes('forcing'));
    assert.equal(trail.at(-1), 'failed');
  });

  it('ends even when everything hangs, and says so', async () => {
    const { lifecycle, part } = life(20, 40);
    for (const name of ['a', 'b', 'c', 'd']) await part(name, hang);
    await assert.rejects(lifecycle.stop('test'), { kind: 'deadline_exceeded', reason: 'STOP_TIMEOUT' });
    assert.equal(lifecycle.state, 'failed');
  });

  it('gives a part the rest of the grace time', async () => {
    const { lifecycle } = life(5000, 1000);
    let grace = 0;
    await lifecycle.open(
      'a',
      () => undefined,
      (_value, how) => {
        grace = how.graceMs;
      },
    );
    await lifecycle.stop('test');
    assert.ok(grace > 0 && grace <= 5000);
  });

  it('holds for random lives', async () => {
    const step = fc.constantFrom('open', 'open failing', 'serve', 'stop', 'fail');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { lifecycle, trail, part } = life();
        let count = 0;
        for (const each of steps) {
          if (each === 'open') await part(`p${count++}`).catch(() => undefined);
          else if (each === 'open failing')
            await lifecycle
              .open(
                'x',
                () => Promise.reject(new Error('x')),
                () => assert.fail(),
              )
              .catch(() => undefined);
          else if (each === 'serve' && !lifecycle.leaving.aborted) lifecycle.serve();
          else if (each === 'stop') lifecycle.stop('random').catch(() => undefined);
          else if (each === 'fail') lifecycle.fail(new Error('random'));
        }
        await lifecycle.stop('end').catch(() => undefined);
        const names = (verb: string) =>
          trail.filter((line) => line.startsWith(`${verb} `)).map((line) => line.slice(verb.length + 1));
        assert.deepEqual(names('close'), names('open').reverse());
        const first = steps.find((each) => each === 'stop' || each === 'fail');
        assert.equal(lifecycle.state, first === 'fail' ? 'failed' : 'stopped');
      }),
    );
  });
});

describe('nextState', () => {
  it('never leaves an end', () => {
    for (const end of ['stopped', 'failed'] as const)
      for (const event of ['opened', 'stop', 'fault', 'grace_over', 'closed'] as const)
        assert.equal(nextState(end, event, false), end);
  });
});
