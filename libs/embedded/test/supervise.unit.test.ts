// Goal: a supervised child is started again for as long as it is wanted, and never after stop.
// Method: children that are plain objects; their deaths are resolved promises.

import { strict as assert } from 'node:assert';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import type { ChildExit, ChildServer } from '../src/index.ts';
import { superviseChild } from '../src/index.ts';

function fakeChild(): ChildServer & { die(): void; stopped: boolean } {
  const { promise, resolve } = Promise.withResolvers<ChildExit>();
  const child = {
    pid: 1,
    port: 1,
    url: '',
    logFile: '',
    exited: promise,
    stopped: false,
    die: () => resolve({ code: 1, signal: null }),
    unref: () => undefined,
    stop: async () => {
      child.stopped = true;
      resolve({ code: 0, signal: null });
    },
  };
  return child;
}

const backoff = { initialMs: 1, maxMs: 2 };

describe('superviseChild', () => {
  it('starts again after each death, also when starting fails in between', async () => {
    const children: ReturnType<typeof fakeChild>[] = [];
    const seen: string[] = [];
    let failures = 2;
    const supervised = superviseChild(
      async () => {
        if (children.length === 1 && failures-- > 0) throw new Error('not yet');
        children.push(fakeChild());
        return children.at(-1)!;
      },
      {
        backoff,
        onExit: () => seen.push('exit'),
        onRestart: () => seen.push('restart'),
        onStartFailed: () => seen.push('failed'),
      },
    );
    await supervised.ready;
    children[0]!.die();
    await eventually(() => children.length === 2 && supervised.current() === children[1]);
    assert.deepEqual(seen, ['exit', 'failed', 'failed', 'restart']);
    children[1]!.die();
    await eventually(() => supervised.current() === children[2]);
    await supervised.stop();
    assert.ok(children[2]?.stopped);
    assert.equal(supervised.current(), undefined);
    assert.equal(children.length, 3);
  });

  it('tells a failing first start and supervises nothing then', async () => {
    let starts = 0;
    const supervised = superviseChild(async () => {
      starts++;
      throw new Error('broken');
    });
    await assert.rejects(supervised.ready, /broken/);
    await supervised.stop();
    assert.equal(starts, 1);
  });

  it('ends a child that comes up while it is being stopped', async () => {
    const late = fakeChild();
    const first = fakeChild();
    const { promise, resolve } = Promise.withResolvers<ChildServer>();
    let starts = 0;
    const supervised = superviseChild(
      () => (starts++ === 0 ? Promise.resolve(first as ChildServer) : promise),
      {
        backoff,
      },
    );
    await supervised.ready;
    first.die();
    await eventually(() => starts === 2);
    const stopped = supervised.stop();
    resolve(late);
    await stopped;
    assert.ok(late.stopped);
  });
});
