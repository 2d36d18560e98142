/**
 * Goal: whoever follows an org by Sync, in full or by what has changed, at any replica, ends with what is there; what is told
 * of agents from memory is what PostgreSQL has. Method: a model beside random changes, seed printed; then two real replicas.
 */

import assert from 'node:assert/strict';
import { ROUTES_BUCKET, routeKey } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { NodeRoute, Route } from '@fleetwire/gen/message';
import type { SyncResponse } from '@fleetwire/gen/registry';
import { AgentProfile } from '@fleetwire/gen/registry';
import type { RunningService } from '@fleetwire/runtime';
import { eventually, seededRandom } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { OrgView } from '../src/routing/org-view.ts';
import { type RegistryWorld, reasonOf, registered, startRegistryWorld, type TestNode } from './fixture.ts';

const decoded = (id: string, name: string, epoch: number) =>
  ({ kind: 'agent', route: Route.fromPartial({ agent: id, name, epoch }) }) as const;

describe('the view of an org', () => {
  it('tells readers that come at any time what has changed, as a model says', () => {
    const random = seededRandom();
    const view = new OrgView(40);
    const model = new Map<string, string>();
    const readers = Array.from({ length: 5 }, () => ({ since: 0, has: new Map<string, string>() }));
    let full = 0;
    let partial = 0;
    for (let revision = 1; revision <= 4000; revision++) {
      const id = `a_${random(60)}`;
      if (random(3) === 0) {
        model.delete(id);
        view.remove(id, revision);
      } else {
        const name = `n-${revision}`;
        model.set(id, name);
        view.put(id, decoded(id, name, revision), revision);
      }
      const reader = readers[random(200)];
      if (reader === undefined) continue;
      for (;;) {
        const changes = reader.since === 0 ? undefined : view.changesSince(reader.since, 7, 1e6);
        if (changes === undefined) {
          full++;
          reader.has.clear();
          for (let from: string | undefined = ''; from !== undefined; ) {
            const page = view.page(from, 7, 1e6);
            for (const { id, route } of page.entries) reader.has.set(id, (route as Route).name);
            from = page.next;
            reader.since = page.revision;
          }
          if (reader.since === view.revision) break;
          continue;
        }
        partial++;
        for (const { id, route } of changes.entries) reader.has.set(id, (route as Route).name);
        for (const id of changes.removed) reader.has.delete(id);
        reader.since = changes.until;
        if (changes.until >= view.revision) break;
      }
      assert.deepEqual(reader.has, model);
    }
    assert.ok(full > 5 && partial > 5, `${full} ${partial}`);
    for (const [id, name] of model) assert.equal(view.byName(name)?.id, id);
    assert.equal(view.size, model.size);
  });

  it('pages of a full answer lack nothing that was there all the time, whatever comes and goes', () => {
    const view = new OrgView(1000);
    for (let i = 0; i < 50; i++) view.put(`a_${i}`, decoded(`a_${i}`, `n-${i}`, 1), i + 1);
    const found = new Set<string>();
    let revision = 100;
    for (let from: string | undefined = ''; from !== undefined; ) {
      const page = view.page(from, 5, 1e6);
      for (const { id } of page.entries) found.add(id);
      from = page.next;
      view.remove(`a_${revision % 2 ? 0 : 49}`, revision++);
      view.put(`a_new-${revision}`, decoded('x', `x-${revision}`, 1), revision++);
    }
    for (let i = 1; i < 49; i++) assert.ok(found.has(`a_${i}`), `a_${i}`);
  });

  it('follows a bucket that was lost and made anew, though that counts from 1 again', () => {
    const view = new OrgView(100);
    view.put('a_1', decoded('a_1', 'before', 1), 500);
    view.put('a_2', decoded('a_2', 'gone', 1), 501);
    view.put('a_1', decoded('a_1', 'after', 2), 3);
    view.remove('a_2', 501);
    assert.deepEqual([view.byName('after')?.id, view.byName('before'), view.size], ['a_1', undefined, 1]);
    assert.equal(view.revision, 3);
    view.put('a_3', decoded('a_3', 'new', 3), 4);
    assert.equal(view.changesSince(501, 10, 1e6), undefined);
    view.put('a_4', decoded('a_4', 'newer', 4), 5);
    const changes = view.changesSince(4, 10, 1e6);
    assert.deepEqual([changes?.entries.map(({ id }) => id), changes?.until], [['a_4'], 5]);
  });

  it('of a renamed agent the old name is gone, also when another has it by then', () => {
    const view = new OrgView(10);
    view.put('a_1', decoded('a_1', 'Bob', 1), 1);
    view.put('a_2', decoded('a_2', 'bob', 3), 2);
    view.put('a_1', decoded('a_1', 'alice', 2), 3);
    assert.equal(view.byName('BOB')?.id, 'a_2');
    assert.equal(view.byName('alice')?.id, 'a_1');
  });
});

describe('sync', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start({ sync_page: 10 }), world.start({ sync_page: 7 })]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** All pages, at the two replicas in turn. */
  async function follow(node: TestNode, has: Map<string, string>, revision: number) {
    const clients = [world.client(one, node.welcome.nodeToken), world.client(two, node.welcome.nodeToken)];
    let began = false;
    for (let pageToken = '', turn = 0; ; turn++) {
      const page: SyncResponse = await clients[turn % 2]!.sync({ revision, pageToken });
      if (page.full && !began) has.clear();
      began ||= page.full;
      for (const { agent, name } of page.agents) has.set(agent, name);
      for (const { channel, members } of page.channels) has.set(channel, members.join());
      for (const id of page.removed) has.delete(id);
      pageToken = page.nextPageToken;
      if (pageToken === '') return { revision: page.revision, full: began };
      if (turn > 200) throw new Error('the pages have no end');
    }
  }

  it('brings a node in full, then by changes, to what is there, at any replica', async () => {
    const node = await world.node(one, 'syncing');
    const names = Array.from({ length: 45 }, (_, i) => `s-${i}`);
    const agents = names.map((name) => ({ id: '', name, adapter: 'stream', profile: undefined }));
    const { outcomes } = await node.client.syncRoster({ agents });
    const ids = outcomes.map(({ agent }) => agent!.id);
    const { channel } = await node.client.createChannel({ name: 'sync' });
    const has = new Map<string, string>();
    let revision = 0;
    await eventually(async () => {
      ({ revision } = await follow(node, has, 0));
      return has.size === 46;
    });
    for (const [i, id] of ids.entries()) assert.equal(has.get(id), names[i]);
    await node.client.renameAgent({ agent: ids[0]!, name: 'renamed' });
    await node.client.deregisterAgent({ agent: ids[1]! });
    await node.client.joinChannel({ channel: channel!.id, agents: [ids[2]!] });
    await eventually(async () => {
      const next = await follow(node, has, revision);
      revision = next.revision;
      assert.equal(next.full, false);
      return has.get(ids[0]!) === 'renamed' && !has.has(ids[1]!) && has.get(channel!.id) === ids[2];
    });
    assert.equal(has.size, 45);
    assert.equal((await follow(node, has, revision)).full, false);
    assert.equal((await follow(node, has, revision + 1000)).full, true);
    assert.equal(await reasonOf(node.client.sync({ revision: 0, pageToken: 'xyz' })), 'INVALID_PAGE_TOKEN');
    const stranger = await world.node(one, 'stranger', world.orgs[1]);
    const theirs = await stranger.client.sync({ revision: 0 });
    assert.deepEqual([theirs.agents, theirs.channels], [[], []]);
    const reader = await world.asUser(one, ['read']);
    assert.equal(await reasonOf(reader.sync({ revision: 0 })), 'NOT_A_NODE');
  });

  it('survives a restart of the registry: what was changed meanwhile is still told as a change', async () => {
    const node = await world.node(one, 'patient');
    const { agent: gone } = await node.client.registerAgent({ name: 'soon-gone', adapter: 'stream' });
    const has = new Map<string, string>();
    let revision = 0;
    await eventually(async () => {
      ({ revision } = await follow(node, has, 0));
      return has.has(gone!.id);
    });
    await node.client.deregisterAgent({ agent: gone!.id });
    await two.stop();
    two = await world.start();
    await one.stop();
    one = await world.start();
    const next = await follow(node, has, revision);
    assert.deepEqual([next.full, has.has(gone!.id)], [false, false]);
  });

  it('is not misled by a table that was made anew and has come past the old revision', async () => {
    await one.stop();
    await two.stop();
    [one, two] = await Promise.all([world.start({ reconcile_ms: 200 }), world.start({ reconcile_ms: 200 })]);
    const node = await world.node(one, 'misled');
    const [gone, renamed] = [await registered(node, 'goes-unseen'), await registered(node, 'named')];
    const has = new Map<string, string>();
    let revision = 0;
    await eventually(async () => {
      ({ revision } = await follow(node, has, 0));
      return has.has(gone.id) && has.has(renamed.id);
    });
    const broker = await world.broker();
    const bucket = await broker.bucket(ROUTES_BUCKET);
    const was = await bucket.put('any', Buffer.from(''));
    await broker.request(`$JS.API.STREAM.DELETE.KV_${ROUTES_BUCKET.name}`, new Uint8Array(), 5000);
    await reasonOf(node.client.deregisterAgent({ agent: gone.id }));
    await broker.ensureBucket(ROUTES_BUCKET, 1);
    // The replicas follow the new one as soon as it lacks what is gone.
    for (const replica of [one, two])
      await eventually(async () => {
        const { agents } = await world.client(replica, node.welcome.nodeToken).sync({ revision: 0 });
        return (
          agents.every(({ agent }) => agent !== gone.id) && agents.some(({ agent }) => agent === renamed.id)
        );
      });
    while ((await bucket.put('any', Buffer.from(''))) <= was);
    await two.stop();
    two = await world.start();
    await node.client.renameAgent({ agent: renamed.id, name: 'named-anew' });
    await eventually(async () => {
      ({ revision } = await follow(node, has, revision));
      return has.get(renamed.id) === 'named-anew';
    });
    const agents = [...has].filter(([id]) => id.startsWith('a_'));
    const rows = await world.sql<{ id: string; name: string }>('select id, name from agents where org = $1', [
      world.orgs[0],
    ]);
    assert.deepEqual(new Map(agents), new Map(rows.map(({ id, name }) => [id, name])));
  });

  it('who has a capability is listed the best to reach first, and look-ups need no database', async () => {
    const node = await world.node(one, 'capable');
    const idle = await world.node(two, 'idle');
    const profile = AgentProfile.fromPartial({ capabilities: ['review'] });
    const bucket = await (await world.broker()).bucket(ROUTES_BUCKET);
    for (const [at, load] of [
      [node, 9],
      [idle, 1],
    ] as const) {
      const route = NodeRoute.fromPartial({ node: at.id, name: at.name, epoch: 1, online: true, load });
      await bucket.put(routeKey(world.orgs[0], at.id), encode(NodeRoute, route));
    }
    const busy = (await node.client.registerAgent({ name: 'aa', adapter: 'stream', profile })).agent!;
    const free = (await idle.client.registerAgent({ name: 'zz', adapter: 'stream', profile })).agent!;
    await node.client.registerAgent({ name: 'neither', adapter: 'stream' });
    const reader = await world.asUser(two, ['read']);
    await eventually(async () => {
      const { agents } = await reader.listAgents({ capability: '?Review' });
      return agents.map(({ id }) => id).join() === [free.id, busy.id].join();
    });
    const first = await reader.listAgents({ capability: 'review', pageSize: 1 });
    const second = await reader.listAgents({
      capability: 'review',
      pageSize: 1,
      pageToken: first.nextPageToken,
    });
    assert.deepEqual(
      [first.agents[0]!.id, second.agents[0]!.id, second.nextPageToken],
      [free.id, busy.id, ''],
    );
    const ofNode = await reader.listAgents({ node: 'CAPABLE' });
    assert.deepEqual(
      ofNode.agents.map(({ name }) => name),
      ['aa', 'neither'],
    );
  });
});
