/**
 * Goal: the routing table ends up as PostgreSQL says, whatever happens meanwhile. Method: a table and rows in memory,
 * changed in the middle.
 */

import assert from 'node:assert/strict';
import { routeKey } from '@fleetwire/contract';
import { describe, it } from 'mocha';
import { NO_PROFILE } from '../src/domain/profile.ts';
import { diffRoutes, type PresentEntry, type WantedEntry } from '../src/domain/route-diff.ts';
import { agentEntry, channelEntry } from '../src/routing/entries.ts';
import { reconcile } from '../src/routing/reconcile.ts';
import type { Marker } from '../src/routing/route-table.ts';
import type { PlacedAgent } from '../src/store/agents.ts';
import type { ChannelWithMembers } from '../src/store/channels.ts';

const agent = (name: string, o: Partial<PlacedAgent> = {}): PlacedAgent => ({
  ...NO_PROFILE,
  id: `a_${name}`,
  org: 'o_1',
  name,
  folded: name,
  node: 'n_1',
  nodeName: 'laptop',
  adapter: 'stream',
  registeredAtMs: 1,
  epoch: 1,
  shard: 0,
  lastSeenAtMs: 1,
  leftAtMs: 0,
  suspended: false,
  movingFrom: '',
  ...o,
});

const channel = (name: string, agents: string[], epoch = 1): ChannelWithMembers => ({
  id: `c_${name}`,
  org: 'o_1',
  kind: 'channel',
  name,
  folded: name,
  createdBy: 'u_1',
  createdAtMs: 1,
  deletion: 0,
  epoch,
  members: agents.length,
  agents,
});

const scanning =
  <T extends { readonly id: string }>(rows: readonly T[]) =>
  async (after: string, limit: number) =>
    rows
      .filter((row) => row.id > after)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);

/** Rows and table, with a hook that runs between the reading of the two. */
function fabric(
  rows: PlacedAgent[],
  between: () => void = () => undefined,
  channels: ChannelWithMembers[] = [],
) {
  const table = new Map<string, PresentEntry>();
  const markers: Marker[] = [];
  const forgotten: string[] = [];
  const set = (key: string, entry: WantedEntry) => void table.set(key, { ...entry, revision: 1 });
  const parts = {
    agents: {
      scan: scanning(rows),
      byIds: async (ids: readonly string[]) => rows.filter((row) => ids.includes(row.id)),
    },
    channels: {
      scan: scanning(channels),
      withMembers: async (ids: readonly string[]) => channels.filter(({ id }) => ids.includes(id)),
      presentIds: async (ids: readonly string[]) => channels.filter(({ id }) => ids.includes(id)),
    },
    epochs: { raise: async () => false, renew: async () => new Map<string, number>() },
    routes: {
      readAll: async () => {
        between();
        return { entries: new Map(table), markers };
      },
      ensureEntry: async (key: string, entry: WantedEntry) => set(key, entry),
      removeKey: async (key: string) => void table.delete(key),
      forget: async ({ key }: Marker) => void forgotten.push(key),
    },
    markersUntilUs: () => 1000,
  };
  return {
    table,
    parts,
    markers,
    forgotten,
    put: (row: PlacedAgent) => set(...agentEntry(row)),
    ids: () => [...table.keys()].map((key) => key.split('.')[1]!).toSorted((a, b) => (a < b ? -1 : 1)),
  };
}

describe('the difference of two routing tables', () => {
  const entry = (epoch: number, text: string) => ({ epoch, bytes: Buffer.from(text) });
  const present = (epoch: number, text: string) => ({ ...entry(epoch, text), revision: 3 });

  it('is what is missing, different or unreadable, and what nobody wants', () => {
    const wanted = new Map([
      ['a', entry(1, 'a')],
      ['b', entry(5, 'b')],
      ['c', entry(1, 'c')],
      ['e', entry(1, 'e')],
    ]);
    const there = new Map([
      ['a', present(1, 'a')],
      ['b', present(4, 'old')],
      ['c', present(-1, 'odd')],
      ['d', present(1, 'd')],
    ]);
    assert.deepEqual(diffRoutes(wanted, there), {
      put: [
        ['b', entry(5, 'b')],
        ['c', entry(1, 'c')],
        ['e', entry(1, 'e')],
      ],
      remove: ['d'],
      behind: [],
    });
  });

  it('leaves a later epoch alone', () => {
    const wanted = new Map([['b', entry(5, 'b')]]);
    const { put, behind } = diffRoutes(wanted, new Map([['b', present(6, 'later')]]));
    assert.deepEqual([put, behind], [[], ['b']]);
  });
});

describe('reconciling', () => {
  const always = new AbortController().signal;

  it('fills an empty table, in more than one page, and then has nothing to do', async () => {
    const rows = Array.from({ length: 2500 }, (_, i) => agent(`${String(i).padStart(5, '0')}`));
    const { parts, table } = fabric(rows);
    assert.deepEqual(await reconcile(parts, always), { routes: 2500, put: 2500, removed: 0, forgotten: 0 });
    assert.equal(table.size, 2500);
    assert.deepEqual(await reconcile(parts, always), { routes: 2500, put: 0, removed: 0, forgotten: 0 });
  });

  it('removes what should not be there, also an entry under the wrong org', async () => {
    const rows = [agent('a')];
    const { parts, put, table } = fabric(rows);
    put(agent('gone'));
    put(agent('a', { org: 'o_2' }));
    await reconcile(parts, always);
    assert.deepEqual([...table.keys()], ['o_1.a_a']);
  });

  it('keeps an agent that is registered while it reads', async () => {
    const rows: PlacedAgent[] = [];
    const { parts, put, ids } = fabric(rows, () => {
      rows.push(agent('late'));
      put(agent('late'));
    });
    await reconcile(parts, always);
    assert.deepEqual(ids(), ['a_late']);
  });

  it('does not bring back an agent that is removed while it reads', async () => {
    const rows = [agent('a'), agent('leaving')];
    const { parts, ids } = fabric(rows, () => rows.splice(1));
    await reconcile(parts, always);
    assert.deepEqual(ids(), ['a_a']);
  });

  it('stops when the lease is lost', async () => {
    const { parts, table } = fabric([agent('a')]);
    await reconcile(parts, AbortSignal.abort());
    assert.equal(table.size, 0);
  });

  it('writes channels with their members, and leaves nodes to others', async () => {
    const { parts, table } = fabric([], undefined, [channel('team', ['a_1', 'a_2'], 7)]);
    const node = { epoch: 1, bytes: Buffer.from('node'), revision: 1 };
    table.set(routeKey('o_1', 'n_1'), node);
    table.set(routeKey('o_1', 'c_gone'), node);
    await reconcile(parts, always);
    assert.deepEqual([...table.keys()], ['o_1.n_1', 'o_1.c_team']);
    assert.deepEqual(
      table.get('o_1.c_team')?.bytes,
      channelEntry(channel('team', ['a_1', 'a_2'], 7))[1].bytes,
    );
  });

  it('forgets old removals, and keeps young ones', async () => {
    const { parts, markers, forgotten } = fabric([]);
    markers.push(
      { key: 'old', revision: 1, storedAtUs: 999 },
      { key: 'young', revision: 2, storedAtUs: 1000 },
    );
    assert.equal((await reconcile(parts, always)).forgotten, 1);
    assert.deepEqual(forgotten, ['old']);
  });
});
