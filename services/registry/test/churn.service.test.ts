/**
 * Goal: whatever dies while many agents come, go and change their names, no name is lost or held twice, and the routing table
 * says what PostgreSQL says. Method: two replicas, one a process that is killed again and again; a model of what each node was
 * told; seed printed.
 */

import assert from 'node:assert/strict';
import { parseRouteKey, ROUTES_BUCKET } from '@fleetwire/contract';
import { Route } from '@fleetwire/gen/message';
import { FleetwireError, foldName, isName } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually, seededRandom } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import {
  errorOf,
  type RegistryClient,
  type RegistryWorld,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';
import { registryProcess } from './registry-process.ts';

const NAMES = 1000;
const KILLS = 4;

/** What one node has been told of its agents; `undefined` where an answer was lost. */
interface Seat {
  readonly node: TestNode;
  readonly clients: readonly RegistryClient[];
  readonly held: Map<string, string>;
  turn: number;
}

describe('names', function () {
  this.timeout(180_000);

  it('of 1,000 registrations of one name at once: one wins, 999 learn who and what is free', async () => {
    await using world = await startRegistryWorld();
    const [one, two] = await Promise.all([world.start(), world.start()]);
    const nodes = await Promise.all(
      Array.from({ length: 40 }, (_, i) => world.node(i % 2 ? one : two, `racer-${i}`)),
    );
    const calls = Array.from({ length: 1000 }, (_, i) => {
      const node = nodes[i % nodes.length]!;
      // Each of a node of its own, as far as the rules go: one that holds the name may say so again.
      const request = { name: i % 3 ? 'alice' : 'ALICE', adapter: 'stream' };
      // The last one waits behind all others, on whatever machine this runs.
      const call = node.client.registerAgent(request, { deadlineMs: 120_000 });
      return errorOf(call).then((refused) => ({ node, refused }));
    });
    const outcomes = await Promise.all(calls);
    const winners = new Set(
      outcomes.filter(({ refused }) => refused === undefined).map(({ node }) => node.id),
    );
    assert.equal(winners.size, 1);
    const [winner] = [...winners] as [string];
    const refusals = outcomes.filter(({ node }) => node.id !== winner);
    assert.equal(refusals.length, 975);
    for (const { node, refused } of refusals) {
      assert.equal(refused?.reason, 'NAME_TAKEN');
      assert.equal(refused.details['held_by_node'], winner);
      const { suggestion } = refused.details;
      assert.ok(suggestion && isName(suggestion) && foldName(suggestion).startsWith(`alice-${node.name}`));
    }
    assert.deepEqual(await world.rows(world.orgs[0]), { nodes: 40, agents: 1 });
  });

  it('survive the death of a replica amid the churn of 1,000 agents: none lost, none doubled', async () => {
    const random = seededRandom();
    await using world = await startRegistryWorld();
    const stays = await world.start({ reconcile_ms: 500 });
    await using dying = await registryProcess(world, { reconcile_ms: 500 });
    await dying.start();
    const seats: Seat[] = [];
    for (let i = 0; i < 8; i++) {
      const node = await world.node(stays, `seat-${i}`);
      const clients = [
        world.client(stays, node.welcome.nodeToken),
        world.client({ address: dying.address } as RunningService, node.welcome.nodeToken),
      ];
      seats.push({ node, clients, held: new Map(), turn: i });
    }
    let over = false;
    const work = seats.map(async (seat) => {
      while (!over) await step(seat, random);
    });
    const killing = (async () => {
      const [first] = seats;
      for (let i = 0; i < KILLS; i++) {
        const before = first!.turn;
        await eventually(() => first!.turn > before + 40, { timeoutMs: 60_000 });
        await dying.kill();
        await dying.start();
      }
    })().finally(() => {
      over = true;
    });
    await killing;
    await Promise.all(work);
    for (const seat of seats) await settle(seat);
    await check(world, seats);
  });
});

/** One thing that a node does; what it is not told of is settled at the end, as a node settles it: by its roster. */
async function step(seat: Seat, random: (below: number) => number): Promise<void> {
  const client = seat.clients[seat.turn++ % 2]!;
  const name = `n-${random(NAMES)}`;
  const [id] = [...seat.held.keys()];
  try {
    const dice = random(10);
    if (dice < 6 || id === undefined) {
      const { agent } = await client.registerAgent({ name, adapter: 'stream' });
      seat.held.set(agent!.id, agent!.name);
    } else if (dice < 8) {
      await client.deregisterAgent({ agent: id });
      seat.held.delete(id);
    } else {
      const { agent } = await client.renameAgent({ agent: id, name });
      seat.held.set(id, agent!.name);
    }
  } catch (error) {
    assert.ok(error instanceof FleetwireError);
    const expected = ['NAME_TAKEN', 'NAME_IN_MOTION', 'UNKNOWN_AGENT'];
    const lost = ['unavailable', 'cancelled', 'deadline_exceeded', 'aborted'].includes(error.kind);
    assert.ok(expected.includes(error.reason) || lost, `${error.reason} ${error.message}`);
  }
}

async function settle(seat: Seat): Promise<void> {
  const agents = [...seat.held].map(([id, name]) => ({ id, name, adapter: 'stream', profile: undefined }));
  const { outcomes } = await seat.clients[0]!.syncRoster({ agents });
  seat.held.clear();
  for (const { agent } of outcomes) if (agent !== undefined) seat.held.set(agent.id, agent.name);
}

async function check(world: RegistryWorld, seats: readonly Seat[]): Promise<void> {
  const model = new Map<string, string>();
  const names = new Set<string>();
  for (const { node, held } of seats)
    for (const [id, name] of held) {
      assert.ok(!model.has(id) && !names.has(foldName(name)), `${name} is held twice`);
      model.set(id, `${name} ${node.id}`);
      names.add(foldName(name));
    }
  assert.ok(model.size > 50, `only ${model.size}`);
  const rows = await world.sql<{ id: string; name: string; node: string }>(
    'select id, name, node from agents',
  );
  assert.deepEqual(new Map(rows.map(({ id, name, node }) => [id, `${name} ${node}`] as const)), model);
  const counted = await world.sql<{ id: string; agents: number }>('select id, agents from nodes');
  for (const { node, held } of seats)
    assert.equal(counted.find(({ id }) => id === node.id)!.agents, held.size, `agents of ${node.name}`);
  const bucket = await (await world.broker()).bucket(ROUTES_BUCKET);
  await eventually(
    async () => {
      const table = new Map<string, string>();
      for (const key of await bucket.keys()) {
        const entry = await bucket.get(key);
        if (entry === undefined || parseRouteKey(key)?.kind !== 'agent') continue;
        const route = Route.decode(entry.value);
        table.set(route.agent, `${route.name} ${route.node}`);
      }
      assert.deepEqual(table, model);
      return true;
    },
    { timeoutMs: 30_000 },
  );
}
