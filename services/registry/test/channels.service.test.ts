/**
 * Goal: channels and groups have exactly the members that joined and still live, in PostgreSQL and in the routing table, for
 * those who may. Method: two replicas, many joins at once, a reader of the bucket.
 */

import assert from 'node:assert/strict';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  registered as agent,
  allPages,
  errorOf,
  type RegistryClient,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

const sorted = (ids: Iterable<string>) => [...ids].toSorted((a, b) => (a < b ? -1 : 1));

const BOUNDS = { channels_max: 12, channels_per_node_max: 2 };

describe('channels and groups', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let laptop: TestNode;
  let desk: TestNode;
  let sender: RegistryClient;
  let admin: RegistryClient;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(BOUNDS), world.start(BOUNDS)]);
    [laptop, desk] = await Promise.all([world.node(one, 'laptop'), world.node(two, 'desk')]);
    sender = await world.asUser(one, ['send']);
    admin = await world.asUser(two, ['admin']);
  });
  after(() => world?.[Symbol.asyncDispose]());
  const members = async (channel: string) => (await world.channelRoute(channel))?.members;

  it('are made once, found by id and by name, and deleted with their route', async () => {
    const made = await Promise.all(
      [sender, admin, laptop.client].map((by) => by.createChannel({ name: 'Team' })),
    );
    const ids = new Set(made.map(({ channel }) => channel!.id));
    assert.equal(ids.size, 1);
    const [id] = [...ids] as [string];
    assert.deepEqual(await members(id), []);
    const group = (await admin.createChannel({ name: 'team', kind: 'group' })).channel!;
    assert.notEqual(group.id, id);
    const listed = await sender.listChannels({ pageSize: 1 });
    const rest = await sender.listChannels({ pageSize: 5, pageToken: listed.nextPageToken });
    assert.deepEqual(
      [...listed.channels, ...rest.channels].map((c) => `${c.kind} ${c.name}`),
      ['channel Team', 'group team'],
    );
    assert.deepEqual(
      (await sender.listChannels({ kind: 'group' })).channels.map((c) => c.id),
      [group.id],
    );
    await sender.deleteChannel({ channel: '#TEAM' });
    await sender.deleteChannel({ channel: id });
    assert.equal(await members(id), undefined);
    assert.deepEqual(await members(group.id), []);
    assert.equal(await reasonOf(sender.joinChannel({ channel: '#team', agents: [] })), 'UNKNOWN_CHANNEL');
  });

  it('have whoever joined, however many at once, and lose whoever left or was removed', async () => {
    const agents = await Promise.all(
      Array.from({ length: 60 }, (_, i) => agent(i % 2 ? laptop : desk, `m-${i}`)),
    );
    const { channel } = await sender.createChannel({ name: 'crowd' });
    const { id } = channel!;
    await Promise.all(
      agents.map((each, i) =>
        (i % 2 ? sender : admin).joinChannel({ channel: id, agents: [i % 3 ? each.id : each.name] }),
      ),
    );
    assert.deepEqual(sorted((await members(id))!), sorted(agents.map((each) => each.id)));
    const again = await sender.joinChannel({ channel: id, agents: [agents[0]!.id] });
    assert.equal(again.channel!.members, 60);
    await admin.leaveChannel({ channel: '#crowd', agents: agents.slice(0, 10).map((each) => each.name) });
    await laptop.client.deregisterAgent({ agent: agents[11]!.id });
    await desk.client.deregisterAgent({ agent: agents[12]!.id });
    const left = sorted(agents.filter((_, i) => i >= 10 && i !== 11 && i !== 12).map((each) => each.id));
    await eventually(async () => assert.deepEqual(sorted((await members(id))!), left) ?? true);
    const shown = await allPages(
      (pageToken) => sender.listChannelMembers({ channel: id, pageSize: 7, pageToken }),
      (page) => page.agents.map((each) => each.id),
    );
    assert.deepEqual(shown, left);
  });

  it('are for those who may', async () => {
    const mine = await agent(laptop, 'mine');
    const other = await agent(desk, 'other');
    const { channel } = await sender.createChannel({ name: 'rights' });
    const group = (await admin.createChannel({ name: 'rights', kind: 'group' })).channel!;
    const agents = [mine.id];
    assert.equal(await reasonOf(laptop.client.joinChannel({ channel: '#rights', agents })), 'none');
    assert.equal(
      await reasonOf(laptop.client.joinChannel({ channel: '#rights', agents: [other.id] })),
      'NOT_THE_OWNER',
    );
    assert.equal(await reasonOf(laptop.client.joinChannel({ channel: group.id, agents })), 'NOT_A_PERSON');
    assert.equal(await reasonOf(laptop.client.createChannel({ name: 'g', kind: 'group' })), 'NOT_A_PERSON');
    assert.equal(await reasonOf(laptop.client.deleteChannel({ channel: channel!.id })), 'NOT_A_PERSON');
    assert.equal(await reasonOf(sender.joinChannel({ channel: '%rights', agents })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(sender.deleteChannel({ channel: group.id })), 'SCOPE_MISSING');
    const reader = await world.asUser(one, ['read']);
    assert.equal(await reasonOf(reader.createChannel({ name: 'r' })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(reader.listChannels({})), 'none');
    assert.equal(await reasonOf(sender.createChannel({ name: 'r', kind: 'club' })), 'UNKNOWN_KIND');
  });

  it('of another org look like none, word for word', async () => {
    const mine = await agent(laptop, 'hidden');
    const { channel } = await sender.createChannel({ name: 'secret' });
    const stranger = await world.asUser(one, ['admin'], world.orgs[1]);
    const none = 'c_0000000000000000';
    for (const call of [
      (id: string) => stranger.joinChannel({ channel: id, agents: [] }),
      (id: string) => stranger.leaveChannel({ channel: id, agents: [] }),
      (id: string) => stranger.listChannelMembers({ channel: id }),
    ]) {
      const [theirs, nobodys] = [await errorOf(call(channel!.id)), await errorOf(call(none))];
      assert.deepEqual(
        [theirs!.reason, theirs!.message.replace(channel!.id, none), theirs!.help],
        [nobodys!.reason, nobodys!.message, nobodys!.help],
      );
    }
    assert.equal(await reasonOf(stranger.deleteChannel({ channel: channel!.id })), 'none');
    assert.deepEqual(await members(channel!.id), []);
    const own = (await stranger.createChannel({ name: 'secret' })).channel!;
    const refused = await errorOf(stranger.joinChannel({ channel: own.id, agents: [mine.id] }));
    assert.equal(refused?.reason, 'UNKNOWN_AGENT');
  });

  it('are bounded, and name who is unknown', async () => {
    const { channel } = await sender.createChannel({ name: 'bounds' });
    const many = Array.from({ length: 1001 }, () => 'x');
    assert.equal(
      await reasonOf(sender.joinChannel({ channel: channel!.id, agents: many })),
      'TOO_MANY_AGENTS',
    );
    await agent(laptop, 'frederick');
    const refused = await errorOf(sender.joinChannel({ channel: channel!.id, agents: ['fredrick'] }));
    assert.match(refused!.help!, /frederick/);
    await world.sql(
      `insert into agents (id, org, name, folded, node, adapter, registered_at_ms, epoch)
       select 'a_' || i, $1, 'filler-' || i, 'filler-' || i, $2, 'stream', 0, 0 from generate_series(1, 10000) i`,
      [world.orgs[0], laptop.id],
    );
    await world.sql(`insert into channel_members select $1, 'a_' || i from generate_series(1, 9999) i`, [
      channel!.id,
    ]);
    const [last, more] = [await agent(desk, 'last'), await agent(desk, 'more')];
    const both = sender.joinChannel({ channel: channel!.id, agents: [last.id, more.id] });
    assert.equal(await reasonOf(both), 'MEMBER_LIMIT');
    const full = await sender.joinChannel({ channel: channel!.id, agents: [last.id] });
    assert.equal(full.channel!.members, 10_000);
    assert.equal((await members(channel!.id))!.length, 10_000);
    await world.sql(`delete from agents where id like 'a\\_%' and name like 'filler-%'`);
    // Not by deepEqual: to say how 10,000 differ takes it seconds, in which nothing else of this process goes on.
    await eventually(async () => (await members(channel!.id))!.length === 1);
    assert.deepEqual(await members(channel!.id), [last.id]);
    const wild = await world.node(one, 'wild');
    for (const name of ['wild-1', 'wild-2', 'wild-2'])
      assert.equal(await reasonOf(wild.client.createChannel({ name })), 'none');
    const beyond = await errorOf(wild.client.createChannel({ name: 'wild-3' }));
    assert.deepEqual([beyond?.reason, beyond?.details['max']], ['CHANNEL_LIMIT', '2']);
    assert.equal(await reasonOf(wild.client.createChannel({ name: 'bounds' })), 'none', 'it is there');
    for (const name of ['wild-1', 'wild-2']) await admin.deleteChannel({ channel: `#${name}` });
    let reason = 'none';
    for (let i = 0; reason === 'none' && i < 20; i++)
      reason = await reasonOf(admin.createChannel({ name: `fill-${i}` }));
    assert.equal(reason, 'CHANNEL_LIMIT');
    assert.equal(await reasonOf(admin.createChannel({ name: 'bounds' })), 'none');
  });
});
