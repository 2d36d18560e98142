/**
 * Goal: clearing an org ends the same wherever it was cut short, and takes nothing of what came after the deletion.
 * Method: a real PostgreSQL; the run is stopped, or fails, at each of its steps in turn and is then repeated.
 */

import assert from 'node:assert/strict';
import { routeKey } from '@fleetwire/contract';
import { newId, systemClock } from '@fleetwire/kernel';
import { openStore, type Store } from '@fleetwire/store';
import { startTestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { NO_PROFILE } from '../src/domain/profile.ts';
import { type ClearParts, clearOrg } from '../src/handlers/clear-org.ts';
import { agentRows } from '../src/store/agents.ts';
import { channelRows } from '../src/store/channels.ts';
import { nodeRows } from '../src/store/nodes.ts';
import { orgRows } from '../src/store/orgs.ts';
import { subscriptionRows } from '../src/store/subscriptions.ts';
import { OWN_SCHEMA } from './fixture.ts';

const BOUNDS = { perNode: 100, perOrg: undefined };
const always = () => true;

describe('clearing an org', function () {
  this.timeout(60_000);
  const stack = new AsyncDisposableStack();
  let store: Store;
  before(async () => {
    const { url } = stack.use(await startTestPostgres());
    store = await openStore({ ...OWN_SCHEMA, url, poolMax: 4 });
    stack.defer(() => store.close());
  });
  after(() => stack.disposeAsync());

  const node = (org: string, name: string, deletion = 0) => ({
    id: newId('node'),
    org,
    name,
    folded: name,
    publicKey: newId('node'),
    partition: 0,
    shard: 0,
    joinedAtMs: 1,
    lastSeenAtMs: 0,
    deletion,
  });
  const agent = (org: string, on: string, name: string) => ({
    id: newId('agent'),
    org,
    name,
    folded: name,
    node: on,
    adapter: 'stream',
    registeredAtMs: 1,
    suspended: false,
    ...NO_PROFILE,
  });

  async function fill(org: string, nodes: number, agents: number, deletion = 0): Promise<string[]> {
    const keys: string[] = [];
    for (let n = 0; n < nodes; n++) {
      const at = node(org, `node-${deletion}-${n}`, deletion);
      assert.equal(await nodeRows(store).insert(at, 1000), 'inserted');
      for (let a = 0; a < agents; a++) {
        const row = agent(org, at.id, `agent-${deletion}-${n}-${a}`);
        assert.equal(await agentRows(store).insert(row, BOUNDS), 'inserted');
        keys.push(routeKey(org, row.id));
      }
    }
    for (let c = 0; c < nodes - 1; c++) {
      const id = newId('channel');
      const name = `channel-${deletion}-${c}`;
      const made = {
        id,
        org,
        kind: 'channel',
        name,
        folded: name,
        createdBy: 'u_1',
        createdAtMs: 1,
        deletion,
      };
      assert.equal(await channelRows(store).create(made, 100), 'there');
      keys.push(routeKey(org, id));
    }
    return keys;
  }

  function partsWith(routes: Set<string>, removed: string[] = []): ClearParts {
    return {
      orgs: orgRows(store),
      agents: agentRows(store),
      channels: channelRows(store),
      nodes: nodeRows(store),
      revoke: async () => undefined,
      routes: {
        keysOf: async (org) => [...routes].filter((key) => key.startsWith(`${org}.`)),
        removeKey: async (key) => void routes.delete(key),
      },
      consumers: { remove: async (_stream, name) => removed.push(name) > 0 },
      subscriptions: subscriptionRows(store),
      clock: systemClock,
      batch: { agents: 3, nodes: 2 },
    };
  }
  const left = async (org: string) => [
    await nodeRows(store).countOfOrg(org),
    await agentRows(store).countOfOrg(org),
  ];

  it('ends the same after it was broken off at any of its steps', async () => {
    for (let steps = 0; ; steps++) {
      const [org, other] = [newId('org'), newId('org')];
      const routes = new Set([...(await fill(org, 5, 3)), ...(await fill(other, 1, 2))]);
      const removed: string[] = [];
      const parts = partsWith(routes, removed);
      let asked = 0;
      const whole = await clearOrg(parts, org, 1, () => asked++ < steps);
      if (!whole) assert.equal(await clearOrg(parts, org, 1, always), true);
      assert.deepEqual(await left(org), [0, 0]);
      assert.equal(new Set(removed).size, 5);
      assert.deepEqual(await left(other), [1, 2]);
      assert.ok(routes.size === 2 && [...routes].every((key) => key.startsWith(other)));
      assert.equal(await clearOrg(parts, org, 1, always), true);
      if (whole) return assert.ok(steps > 5);
    }
  });

  it('ends the same after the broker failed in the middle', async () => {
    for (const failing of ['revoke', 'remove', 'keysOf', 'removeKey'] as const) {
      const org = newId('org');
      const routes = new Set(await fill(org, 3, 2));
      const parts = partsWith(routes);
      const away = async (): Promise<never> => {
        throw new Error('away');
      };
      const broken =
        failing === 'revoke'
          ? { ...parts, revoke: away }
          : failing === 'remove'
            ? { ...parts, consumers: { remove: away } }
            : { ...parts, routes: { ...parts.routes, [failing]: away } };
      await assert.rejects(clearOrg(broken, org, 1, always));
      if (failing === 'revoke')
        assert.deepEqual(await left(org), [3, 6], 'nobody goes who could still come back');
      assert.equal(await clearOrg(parts, org, 1, always), true);
      assert.deepEqual([await left(org), routes.size], [[0, 0], 0]);
    }
  });

  it('leaves what a restored org has made anew', async () => {
    const org = newId('org');
    await fill(org, 2, 1);
    const anew = await fill(org, 1, 2, 1);
    const routes = new Set(anew);
    assert.equal(await clearOrg(partsWith(routes), org, 1, always), true);
    assert.deepEqual([await left(org), routes.size], [[1, 2], 2]);
    assert.equal(await clearOrg(partsWith(routes), org, 2, always), true);
    assert.deepEqual([await left(org), routes.size], [[0, 0], 0]);
  });

  it('shuts out a node that began to join before the deletion, and agents of a node that is gone', async () => {
    const org = newId('org');
    await fill(org, 1, 0);
    const gone = node(org, 'gone');
    await nodeRows(store).insert(gone, 10);
    await clearOrg(partsWith(new Set()), org, 1, always);
    assert.equal(await nodeRows(store).insert(node(org, 'late'), 10), 'org_cleared');
    assert.equal(await agentRows(store).insert(agent(org, gone.id, 'late'), BOUNDS), 'node_gone');
    assert.equal(await nodeRows(store).insert(node(org, 'restored', 1), 10), 'inserted');
    await orgRows(store).close(org, 0);
    assert.equal(await nodeRows(store).insert(node(org, 'late'), 10), 'org_cleared');
  });

  it('keeps the numbers of agents right when it is broken off', async () => {
    const org = newId('org');
    await fill(org, 2, 4);
    const ids = await orgRows(store).agentsBefore(org, 1, 5);
    await agentRows(store).remove({ ids, nowMs: 1 });
    const counted = await store.query<{ agents: number; present: number }>(
      `select n.agents, (select count(*)::int from agents a where a.node = n.id) as present
       from nodes n where n.org = $1`,
      [org],
    );
    for (const row of counted) assert.equal(row.agents, row.present);
    assert.equal(counted[0]!.agents + counted[1]!.agents, 3);
  });
});
