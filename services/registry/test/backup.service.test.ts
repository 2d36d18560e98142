/**
 * Goal: after PostgreSQL was restored from a backup, its word wins over the later routing table, and new epochs are later
 * than all that anybody has seen. Method: rows and the sequence of epochs are set back while the registry runs.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { startRegistryWorld } from './fixture.ts';

describe('a registry whose database was set back', function () {
  this.timeout(60_000);

  it('makes the routing table say what PostgreSQL says, with later epochs', async () => {
    await using world = await startRegistryWorld();
    const [org] = world.orgs;
    const service = await world.start({ reconcile_ms: 300, sweep_ms: 100 });
    const node = await world.node(service, 'laptop');
    const { agent } = await node.client.registerAgent({ name: 'before', adapter: 'stream' });
    const { channel } = await node.client.createChannel({ name: 'team' });
    const id = agent!.id;
    const renamed = (await node.client.renameAgent({ agent: id, name: 'after' })).agent!;
    const route = async () => (await world.route(id))!;
    const ofChannel = async () => (await world.channelRoute(channel!.id))!;
    const seen = { node: (await world.nodeRoute(org, node.id))!.epoch, channel: (await ofChannel()).epoch };

    await world.sql(`update channels set name = 'crew', folded = 'crew', epoch = 1, written_epoch = 1`);
    await world.sql('update nodes set epoch = 1, draining = true');
    await world.sql(`update agents set name = 'before', folded = 'before', epoch = 1`);
    await world.sql(`select setval('route_epochs', 1)`);

    const now = await eventually(async () => {
      const found = await route();
      return found.name === 'before' ? found : undefined;
    });
    assert.ok(now.epoch > renamed.epoch);
    const team = await eventually(async () => {
      const found = await ofChannel();
      return found.name === 'crew' ? found : undefined;
    });
    assert.ok(team.epoch > seen.channel);
    await eventually(async () => {
      const there = (await world.nodeRoute(org, node.id))!;
      return there.draining && there.epoch > seen.node;
    });
    const again = (await node.client.renameAgent({ agent: id, name: 'anew' })).agent!;
    assert.ok(again.epoch > now.epoch);
    assert.equal((await route()).name, 'anew');
  });
});
