/**
 * Goal: the routing table ends up as PostgreSQL says, whatever happens meanwhile. Method: a table and rows in memory,
 * changed in the middle.
 */

import assert from 'node:assert/strict';
import type { WatchEntry } from '@fleetwire/broker';
import { routeKey } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { NodeRoute } from '@fleetwire/gen/message';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { NO_PROFILE } from '../src/domain/profile.ts';
import { diffRoutes, type PresentEntry, type WantedEntry } from '../src/domain/route-diff.ts';
import { agentEntry, channelEntry } from '../src/routing/entries.ts';
import { forgetMarkers, reconcile } from '../src/routing/reconcile.ts';
import type { Marker } from '../src/routing/route-table.ts';
import { WatchedRoutes } from '../src/routing/watched-routes.ts';
import type { PlacedAgent } from '../src/store/agents.ts';
import type { ChannelWithMembers } from '../src/store/channels.ts';
import type { RoutedNode } from '../src/store/nodes.ts';

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

const node = (id: string, epoch: number): RoutedNode => ({
  id,
  org: 'o_1',
  name: id,
  shard: 0,
  status: 'online',
  draining: false,
  epoch,
});

/** As it is in the table. */
const nodeEntry = ({ id, name, shard, draining, epoch }: RoutedNode, load = 0) => {
  const bytes = encode(NodeRoute, { node: id, name, shard, draining, epoch, online: true, load });
  return [routeKey('o_1', id), { epoch, bytes }] as const;
};

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
  const nodes: RoutedNode[] = [];
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
    nodes: {
      scan: scanning(nodes),
      routed: async (ids: readonly string[]) => nodes.filter(({ id }) => ids.includes(id)),
    },
    nodeRoutes: { ensure: async (node: RoutedNode) => set(...nodeEntry(node)) },
    epochs: { raise: async () => undefined, renew: async () => new Map<string, number>() },
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
    nodes,
    put: (row: PlacedAgent) => set(...agentEntry(row)),
    ids: () => [...table.keys()].map((key) => key.split('.')[1]!).toSorted((a, b) => (a < b ? -1 : 1)),
  };
}

describe('the routing table in memory', () => {
  const watched = async (entries: readonly WatchEntry[]) => {
    const view = new WatchedRoutes({
      bucket: {
        watch: async (onEntry, onRead) => {
          for (const entry of entries) onEntry(entry);
          onRead?.();
          return { stop: () => undefined } as never;
        },
      },
      agents: { byIds: async () => [] },
      clock: systemClock,
      log: { warn: () => undefined },
      rowsMax: 10,
      changesMax: 10,
      markersKeepMs: 1000,
    });
    await view.open();
    return view;
  };
  const there = (name: string, revision: number): WatchEntry => {
    const [key, { bytes }] = agentEntry(agent(name));
    return { key, value: bytes, revision, position: revision, storedAtUs: systemClock.nowUs() };
  };
  const gone = (name: string, revision: number) => ({ ...there(name, revision), value: undefined });

  it('keeps nothing of an org that has nothing any more', async () => {
    const view = await watched([gone('before', 3)]);
    assert.equal(view.viewOf('o_1'), undefined);
    view.apply(there('a', 4));
    view.apply(gone('a', 5));
    assert.equal(view.viewOf('o_1'), undefined);
  });

  it('answers in full whoever knows an org from before it was forgotten', async () => {
    const view = await watched([there('a', 3), there('b', 4)]);
    view.apply(gone('a', 5));
    view.apply(gone('b', 6));
    view.apply(there('c', 8));
    view.apply(there('d', 9));
    const org = view.viewOf('o_1')!;
    assert.equal(org.changesSince(4, 10, 1e6), undefined);
    assert.deepEqual(
      org.changesSince(8, 10, 1e6)?.entries.map(({ id }) => id),
      ['a_d'],
    );
  });
});

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
    assert.deepEqual(await reconcile(parts, always), {
      routes: 2500,
      put: 2500,
      removed: 0,
      forgotten: 0,
      left: [],
    });
    assert.equal(table.size, 2500);
    assert.deepEqual(await reconcile(parts, always), {
      routes: 2500,
      put: 0,
      removed: 0,
      forgotten: 0,
      left: [],
    });
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

  it('writes nodes that are missing or different, keeps the load of the others, and removes what is gone', async () => {
    const { parts, table, nodes, ids } = fabric([]);
    const bytesOf = (id: string) => table.get(routeKey('o_1', id))?.bytes;
    nodes.push(node('n_busy', 3), node('n_new', 4), node('n_old', 5));
    const [key, busy] = nodeEntry(node('n_busy', 3), 7);
    for (const [at, entry] of [
      [key, busy],
      nodeEntry(node('n_old', 2)),
      nodeEntry(node('n_gone', 1)),
    ] as const)
      table.set(at, { ...entry, revision: 1 });
    assert.deepEqual(await reconcile(parts, always), {
      routes: 0,
      put: 2,
      removed: 1,
      forgotten: 0,
      left: [],
    });
    assert.deepEqual(ids(), ['n_busy', 'n_new', 'n_old']);
    assert.equal(bytesOf('n_busy'), busy.bytes);
    assert.deepEqual(bytesOf('n_old'), nodeEntry(node('n_old', 5))[1].bytes);
    assert.equal((await reconcile(parts, always)).put, 0);
  });

  it('writes channels with their members', async () => {
    const { parts, table } = fabric([], undefined, [channel('team', ['a_1', 'a_2'], 7)]);
    table.set(routeKey('o_1', 'c_gone'), { epoch: 1, bytes: Buffer.from('gone'), revision: 1 });
    await reconcile(parts, always);
    assert.deepEqual([...table.keys()], ['o_1.c_team']);
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

  it('forgets first of all, since a full table takes nothing more before, and leaves what is much for later', async () => {
    const { parts, markers, forgotten } = fabric([agent('a')]);
    for (let i = 0; i < 6000; i++) markers.push({ key: `old-${i}`, revision: 1, storedAtUs: 1 });
    const ensureEntry = async () => {
      if (forgotten.length === 0) throw new Error('the bucket is full');
    };
    const { left, put } = await reconcile({ ...parts, routes: { ...parts.routes, ensureEntry } }, always);
    assert.deepEqual([put, forgotten.length + left.length], [1, 6000]);
    assert.ok(left.length > 0);
    assert.deepEqual(await forgetMarkers(parts.routes, left, always), []);
    assert.equal(new Set(forgotten).size, 6000);
  });
});
