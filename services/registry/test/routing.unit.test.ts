/**
 * Goal: the routing table ends up as PostgreSQL says, whatever happens meanwhile. Method: a table and rows in memory,
 * changed in the middle.
 */

import assert from 'node:assert/strict';
import { routeKey } from '@fleetwire/contract';
import type { Route } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { diffRoutes, type PresentRoute } from '../src/domain/route-diff.ts';
import { reconcile } from '../src/routing/reconcile.ts';
import { routeOf } from '../src/routing/route-table.ts';
import type { PlacedAgent } from '../src/store/agents.ts';

const agent = (id: string, o: Partial<PlacedAgent> = {}): PlacedAgent => ({
  id,
  org: 'o_1',
  name: id,
  folded: id,
  node: 'n_1',
  nodeName: 'laptop',
  adapter: 'stream',
  registeredAtMs: 1,
  epoch: 1,
  shard: 0,
  movingFrom: '',
  lastSeenAtMs: 1,
  ...o,
});

/** Rows and table, with a hook that runs between the reading of the two. */
function fabric(rows: PlacedAgent[], between: () => void = () => undefined) {
  const table = new Map<string, PresentRoute>();
  const parts = {
    agents: {
      scan: async (after: string, limit: number) =>
        rows
          .filter((row) => row.id > after)
          .sort((a, b) => (a.id < b.id ? -1 : 1))
          .slice(0, limit),
      byIds: async (ids: readonly string[]) => rows.filter((row) => ids.includes(row.id)),
    },
    routes: {
      readAll: async () => {
        between();
        return new Map(table);
      },
      ensureRoute: async (key: string, route: Route) => void table.set(key, { route, revision: 1 }),
      removeKey: async (key: string) => void table.delete(key),
    },
  };
  const put = (row: PlacedAgent) =>
    table.set(routeKey(row.org, row.id), { route: routeOf(row), revision: 1 });
  return {
    table,
    parts,
    put,
    ids: () => [...table.keys()].map((key) => key.split('.')[1]!).toSorted((a, b) => (a < b ? -1 : 1)),
  };
}

describe('the difference of two routing tables', () => {
  const [a, b, c] = [agent('a'), agent('b', { epoch: 5 }), agent('c')].map(routeOf) as [Route, Route, Route];
  const present = (route: Route | undefined) => ({ route, revision: 3 });

  it('is what is missing, different or unreadable, and what nobody wants', () => {
    const wanted = new Map([
      ['a', a],
      ['b', b],
      ['c', c],
    ]);
    const there = new Map([
      ['a', present(a)],
      ['b', present({ ...b, epoch: 4, node: 'n_old' })],
      ['c', present(undefined)],
      ['d', present(a)],
    ]);
    assert.deepEqual(diffRoutes(wanted, there), {
      put: [
        ['b', b],
        ['c', c],
      ],
      remove: [['d', 3]],
    });
  });

  it('leaves a later epoch alone', () => {
    assert.deepEqual(diffRoutes(new Map([['b', b]]), new Map([['b', present({ ...b, epoch: 6 })]])).put, []);
  });
});

describe('reconciling', () => {
  const always = new AbortController().signal;

  it('fills an empty table, in more than one page, and then has nothing to do', async () => {
    const rows = Array.from({ length: 2500 }, (_, i) => agent(`a${String(i).padStart(5, '0')}`));
    const { parts, table } = fabric(rows);
    assert.deepEqual(await reconcile(parts, always), { routes: 2500, put: 2500, removed: 0 });
    assert.equal(table.size, 2500);
    assert.deepEqual(await reconcile(parts, always), { routes: 2500, put: 0, removed: 0 });
  });

  it('removes what should not be there, also an entry under the wrong org', async () => {
    const rows = [agent('a')];
    const { parts, put, table } = fabric(rows);
    put(agent('gone'));
    put(agent('a', { org: 'o_2' }));
    await reconcile(parts, always);
    assert.deepEqual([...table.keys()], ['o_1.a']);
  });

  it('keeps an agent that is registered while it reads', async () => {
    const rows: PlacedAgent[] = [];
    const { parts, put, ids } = fabric(rows, () => {
      rows.push(agent('late'));
      put(agent('late'));
    });
    await reconcile(parts, always);
    assert.deepEqual(ids(), ['late']);
  });

  it('does not bring back an agent that is removed while it reads', async () => {
    const rows = [agent('a'), agent('leaving')];
    const { parts, ids } = fabric(rows, () => rows.splice(1));
    await reconcile(parts, always);
    assert.deepEqual(ids(), ['a']);
  });

  it('stops when the lease is lost', async () => {
    const { parts, table } = fabric([agent('a')]);
    await reconcile(parts, AbortSignal.abort());
    assert.equal(table.size, 0);
  });
});
