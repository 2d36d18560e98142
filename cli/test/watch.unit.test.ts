// Goal: a live view draws in place on a terminal, tells changes elsewhere, outlives an absence of the hub and of its token,
// and ends at once when it is told to or nobody reads any more.
// Method: looks and a terminal made up by the test.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { createOutput } from '../src/output.ts';
import { createScreen } from '../src/screen.ts';
import { type View, watch } from '../src/watch.ts';

const view = (...names: string[]): View => ({ document: { names }, lines: names, rows: names });
const fault = (kind: 'unavailable' | 'unauthenticated' | 'not_found', reason: string) =>
  new FleetwireError(kind, reason, 'a fault');

/** Looks give what stands next in `plan`, the last of it for ever. */
function world(plan: (View | FleetwireError)[], o: { tty?: boolean; json?: boolean } = {}) {
  const said = { text: '', drawn: [] as string[], looks: 0, renewed: 0 };
  const out = (text: string) => {
    said.text += text;
  };
  const terminal = {
    isTTY: o.tty === true,
    columns: 20,
    rows: 5,
    destroyed: false,
    writable: true,
    write: (text: string) => said.drawn.push(text),
  };
  const ending = new AbortController();
  const options = {
    output: createOutput(o.json === true, { out, err: () => undefined }),
    screen: createScreen(terminal),
    intervalMs: 1,
    signal: ending.signal,
    look: async () => {
      const next = plan[Math.min(said.looks++, plan.length - 1)]!;
      if (next instanceof FleetwireError) throw next;
      return next;
    },
    renew: () => {
      said.renewed += 1;
    },
  };
  return { said, terminal, ending, options, watching: () => watch(options) };
}

const until = async (w: ReturnType<typeof world>, looks: number): Promise<void> => {
  const watching = w.watching();
  await eventually(() => w.said.looks >= looks);
  w.ending.abort();
  await watching;
};

describe('a live view', () => {
  it('is drawn in place, when it differs, and as far as it fits', async () => {
    const w = world([view('alice'), view('alice'), view('bob', 'carol', 'dan', 'a-name-that-is-too-long')], {
      tty: true,
    });
    await until(w, 5);
    assert.equal(w.said.drawn.length, 2, 'a look at the same draws nothing');
    const [first, second] = w.said.drawn as [string, string];
    assert.ok(first.startsWith('\u001b[2J\u001b[H') && first.includes('alice'));
    assert.ok(second.startsWith('\u001b[H') && second.includes('... and 3 more lines'));
    assert.ok(second.split('\n').length <= w.terminal.rows);
    assert.equal(w.said.text, '');
  });
  it('tells changes where there is no terminal', async () => {
    const w = world([view('alice', 'bob'), view('alice', 'bob'), view('bob', 'carol')]);
    await until(w, 5);
    assert.match(w.said.text, /^alice\nbob\n\d\d:\d\d:\d\dZ {2}- alice\n\S+ {2}\+ carol\n$/);
  });
  it('is a line of JSON for each change', async () => {
    const at = (names: string[], last_seen_at: string): View => ({
      ...view(),
      document: { names, last_seen_at },
    });
    const w = world([at(['alice'], '1'), at(['alice'], '2'), at([], '3')], { json: true });
    await until(w, 5);
    const lines = w.said.text.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).names),
      [['alice'], []],
    );
  });
  it('outlives an absence, said once, and a token', async () => {
    const away = fault('unavailable', 'AWAY');
    const stale = fault('unauthenticated', 'TOKEN_EXPIRED');
    const w = world([view('alice'), away, away, view('alice'), stale, view('bob')]);
    await until(w, 8);
    assert.equal(w.said.renewed, 1);
    assert.equal(w.said.text.match(/! a fault; trying again/g)?.length, 1);
    assert.match(w.said.text, /answers again\n[\s\S]*- alice\n[\s\S]*\+ bob\n$/);
  });
  it('ends with a refusal that waiting does not mend', async () => {
    const stale = fault('unauthenticated', 'API_KEY_REVOKED');
    const cases: [(View | FleetwireError)[], string][] = [
      [[fault('unavailable', 'AWAY')], 'AWAY'],
      [[view('alice'), fault('not_found', 'NODE_UNKNOWN')], 'NODE_UNKNOWN'],
      [[view('alice'), stale, stale], 'API_KEY_REVOKED'],
    ];
    for (const [plan, reason] of cases)
      await assert.rejects(world(plan).watching(), (error) => (error as FleetwireError).reason === reason);
  });
  it('ends at once, also while a look takes long', async () => {
    const w = world([view('alice')]);
    const endless = new Promise<View>(() => undefined);
    const watching = watch({ ...w.options, look: () => endless });
    w.ending.abort();
    await watching;
  });
  it('ends when nobody reads any more', async () => {
    const w = world([view('alice')]);
    const watching = w.watching();
    await eventually(() => w.said.looks > 0);
    w.terminal.destroyed = true;
    await watching;
  });
});
