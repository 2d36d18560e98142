/**
 * Goal: PostgreSQL may die and come back: nodes stay known and connected, everything else says so, and what was stored is
 * there again; what was not heard of while a server was away proves nothing. Method: SIGKILL to a server of the test's own,
 * then a restart on the same folder.
 */

import assert from 'node:assert/strict';
import { pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { beatAs, greetAs, reasonOf, startRegistryWorld } from './fixture.ts';

describe('registry and its database', function () {
  this.timeout(90_000);

  it('answers heartbeats and renews credentials while it is away, and goes on when it is back', async () => {
    await using world = await startRegistryWorld({ ownPostgres: true });
    const postgres = world.postgres!;
    const service = await world.start({ known_fresh_ms: 0, liveness_ms: 600_000 });
    const node = await world.node(service, 'laptop');
    await node.client.registerAgent({ name: 'alice', adapter: 'stream' });
    const broker = await world.nodeBroker(node);
    const beat = () => beatAs(broker, node, world.orgs[0], { instance: '', agents: 1, credentialsLeftS: 10 });
    await beat();

    await postgres.kill();
    const away = await beat();
    assert.equal(away.known, true);
    assert.notEqual(away.userJwt, '');
    // Who is known is answered from memory.
    assert.equal(await reasonOf(node.client.lookupAgent({ name: 'alice' })), 'none');
    assert.equal(await reasonOf(node.client.lookupAgent({ name: 'nobody' })), 'DATABASE_AWAY');
    assert.equal(await reasonOf(node.client.listAgents({})), 'DATABASE_AWAY');
    const late = node.client.registerAgent({ name: 'bob', adapter: 'stream' });
    assert.equal(await reasonOf(late), 'DATABASE_AWAY');

    await postgres.restart();
    assert.equal(await reasonOf(node.client.registerAgent({ name: 'bob', adapter: 'stream' })), 'none');
    const { agent } = await node.client.lookupAgent({ name: 'alice' });
    assert.equal(agent!.status, 'online');
    const written = () => world.sql<{ status: string }>('select status from nodes where id = $1', [node.id]);
    await eventually(async () => (await written())[0]!.status === 'online');
    assert.equal(await (await world.store()).drift(), '');
  });

  for (const what of ['postgres', 'nats'] as const)
    it(`gives no node to another machine since it was not heard of while ${what} was away`, async () => {
      await using world = await startRegistryWorld({ ownPostgres: what === 'postgres' });
      const livenessMs = 3000;
      const service = await world.start({ liveness_ms: livenessMs, look_ms: 50, hellos_every_ms: 10 });
      const node = await world.node(service, 'laptop');
      await greetAs(world.client(service), node);
      await pause(2 * livenessMs + 500);
      const server = world[what]!;
      await server.kill();
      await pause(livenessMs / 2);
      const copied = () =>
        reasonOf(greetAs(world.client(service), node, { instance: 'i-2', machine: 'm-2', host: 'attic' }));
      let stopped = false;
      const tried = (async () => {
        const reasons = new Set<string>();
        for (; !stopped; await pause(50)) reasons.add(await copied());
        return reasons;
      })();
      await server.restart();
      await eventually(async () => (await reasonOf(greetAs(world.client(service), node))) === 'none');
      stopped = true;
      assert.ok(!(await tried).has('none'), [...(await tried)].join());
    });

  it('keeps nodes, names and epochs over restarts of its own', async () => {
    await using world = await startRegistryWorld();
    const first = await world.start();
    const node = await world.node(first, 'laptop');
    const before = await node.client.registerAgent({ name: 'alice', adapter: 'tmux' });
    await first.stop();
    const again = await world.start();
    const client = world.client(again, node.welcome.nodeToken);
    const after = await client.registerAgent({ name: 'alice', adapter: 'tmux' });
    assert.deepEqual([after.agent!.id, after.agent!.epoch], [before.agent!.id, before.agent!.epoch]);
    const next = await client.registerAgent({ name: 'bob', adapter: 'tmux' });
    assert.ok(next.agent!.epoch > before.agent!.epoch);
  });
});
