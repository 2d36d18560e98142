/**
 * Goal: registry is asked once per name, by a bounded number of questions, never while it is away, and what it said
 * counts only for a while.
 * Method: a registry and a clock in the hands of the test.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { KnownName } from '../src/domain/resolve.ts';
import type { RouteEntry } from '../src/domain/routing-table.ts';
import { NameLookup } from '../src/handlers/name-lookup.ts';
import { ORG, route } from './samples.ts';

function setup(max = 2, cacheMax = 100) {
  const asked: { folded: string; answer: (r: RouteEntry | undefined) => void; fail: (e: Error) => void }[] =
    [];
  const clock = { ms: 0, nowUs: () => 0, monotonicMs: () => clock.ms };
  const lookup = new NameLookup({
    ask: (_org, folded) => new Promise((answer, fail) => asked.push({ folded, answer, fail })),
    clock,
    max,
    freshMs: 1000,
    cacheMax,
    pauseMs: 500,
  });
  const told: [string, KnownName][] = [];
  const find = (folded: string) => lookup.find({ org: ORG, folded }, (known) => told.push([folded, known]));
  return { asked, clock, lookup, told, find };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('asking registry', () => {
  it('asks once for all who wait, and at most so many names at a time', async () => {
    const { asked, told, find } = setup(2);
    for (const name of ['a', 'a', 'b', 'c', 'a']) find(name);
    assert.deepEqual(
      asked.map((a) => a.folded),
      ['a', 'b'],
    );
    asked[0]!.answer(route('a'));
    await settle();
    assert.deepEqual(
      told.map(([name, known]) => [name, known.route?.name]),
      Array(3).fill(['a', 'a']),
    );
    assert.deepEqual(
      asked.map((a) => a.folded),
      ['a', 'b', 'c'],
    );
  });

  it('remembers an answer, also that there is none, until it is stale or the watch brings the name', async () => {
    const { asked, clock, lookup, told, find } = setup();
    find('a');
    asked[0]!.answer(undefined);
    await settle();
    find('a');
    assert.equal(asked.length, 1);
    assert.deepEqual(lookup.known(ORG, 'a'), { route: undefined });
    lookup.forget(ORG, 'a');
    assert.equal(lookup.known(ORG, 'a'), undefined);
    find('a');
    asked[1]!.answer(route('a'));
    await settle();
    assert.equal(lookup.known(ORG, 'a')?.route?.name, 'a');
    clock.ms = 1000;
    assert.equal(lookup.known(ORG, 'a'), undefined);
    assert.equal(told.length, 3);
  });

  it('lets the table decide while registry is away, and asks again later', async () => {
    const { asked, clock, told, find } = setup();
    find('a');
    find('b');
    asked[0]!.fail(new Error('away'));
    await settle();
    find('c');
    assert.deepEqual(
      told.map(([name]) => name),
      ['a', 'c'],
    );
    assert.equal(asked.length, 2);
    clock.ms = 500;
    find('c');
    assert.equal(asked.length, 3);
  });

  it('forgets the oldest answer beyond its bound', async () => {
    const { asked, lookup, find } = setup(5, 2);
    for (const name of ['a', 'b', 'c']) find(name);
    for (const question of asked) question.answer(undefined);
    await settle();
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => lookup.known(ORG, name) !== undefined),
      [false, true, true],
    );
  });
});
