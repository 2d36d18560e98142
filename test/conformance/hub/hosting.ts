/** Cases of a hub: agents of a node, rosters, and what a node is told of its org. */

import { strict as assert } from 'node:assert';
import type { SyncResponse } from '@fleetwire/gen/registry';
import { describe, it } from 'mocha';
import { digestOf } from '../wire/keys.ts';
import { reasonOf, refusal } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';
import type { PeerNode } from './peer-node.ts';

/** All pages of an answer. */
async function synced(node: PeerNode, revision = 0): Promise<SyncResponse> {
  let pageToken = '';
  let all: SyncResponse | undefined;
  do {
    const page = await node.registry.calls.sync({ revision, pageToken }, { token: node.token });
    if (all === undefined) all = page;
    else {
      all.agents.push(...page.agents);
      all.nodes.push(...page.nodes);
      all.removed.push(...page.removed);
      all.revision = page.revision;
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}

export const hosting = (hub: () => Hub) => {
  describe('agents', () => {
    it('are registered once, and the same again for the same node', async () => {
      const node = await hub().connected();
      const profile = {
        model: 'm',
        capabilities: ['Review'],
        repo: '',
        visibility: '',
        group: '',
        movable: false,
      };
      const full = { ...profile, tools: undefined, location: undefined };
      const agent = await node.register(`ann-${node.name}`, { profile: full });
      assert.match(agent.id, /^a_[0-9a-hjkmnp-tv-z]{16}$/);
      assert.deepEqual([agent.node, agent.nodeName, agent.status], [node.id, node.name, 'online']);
      assert.deepEqual(agent.profile?.capabilities, ['review']);
      assert.equal((await node.register(agent.name.toUpperCase())).id, agent.id);
    });

    it('have one winner for a name; the others hear who has it, and what is free', async () => {
      const [node, other] = [await hub().connected(), await hub().connected()];
      const { name } = await node.register(`bea-${node.name}`);
      const { reason, details } = await refusal(other.register(name));
      assert.deepEqual([reason, details['held_by_node_name']], ['NAME_TAKEN', node.name]);
      await other.register(details['suggestion']!);
    });

    it('are refused with a name, an adapter or a profile that is none', async () => {
      const node = await hub().connected();
      for (const name of ['', 'a b', 'a.b', '*', 'x'.repeat(51), 'a\u0000'])
        assert.equal(await reasonOf(node.register(name)), 'INVALID_NAME', JSON.stringify(name));
      assert.equal(await reasonOf(node.register('fine', { adapter: 'telnet' })), 'UNKNOWN_ADAPTER');
      const profile = { model: '', capabilities: ['not one'], tools: undefined, repo: '', visibility: '' };
      const bad = { ...profile, group: '', location: undefined, movable: false };
      assert.equal(await reasonOf(node.register('fine', { profile: bad })), 'INVALID_PROFILE');
    });

    it('are renamed and removed by their own node only; the id stays', async () => {
      const [node, other] = [await hub().connected(), await hub().connected()];
      const { calls } = hub().registry;
      const agent = await node.register(`cid-${node.name}`);
      const name = `cyd-${node.name}`;
      const foreign = { token: other.token };
      assert.equal(await reasonOf(calls.renameAgent({ agent: agent.id, name }, foreign)), 'NOT_THE_OWNER');
      assert.equal(await reasonOf(calls.deregisterAgent({ agent: agent.id }, foreign)), 'NOT_THE_OWNER');
      const renamed = await calls.renameAgent({ agent: agent.id, name }, { token: node.token });
      assert.deepEqual([renamed.agent?.id, renamed.agent?.name], [agent.id, name]);
      await calls.deregisterAgent({ agent: agent.id }, { token: node.token });
      await other.register(name);
    });

    it('need the token of a node', async () => {
      const request = { name: 'dora', adapter: 'mailbox' };
      const { calls } = hub().registry;
      assert.equal(await reasonOf(calls.registerAgent(request)), 'TOKEN_MISSING');
      assert.equal(await reasonOf(calls.registerAgent(request, { token: 'made.up.token' })), 'TOKEN_INVALID');
    });
  });

  describe('roster', () => {
    it('registers what is new, takes away what is gone, and has the digest of what is', async () => {
      const node = await hub().connected();
      const [first, second] = [`eva-${node.name}`, `fay-${node.name}`];
      const told = await node.syncRoster([{ name: first }, { name: second }]);
      const ids = told.outcomes.map(({ agent }) => agent!.id);
      assert.equal(told.rosterDigest, digestOf(ids));
      assert.equal((await node.beat({ rosterDigest: told.rosterDigest })).rosterDiffers, false);
      const again = await node.syncRoster([{ id: ids[1]!, name: second }]);
      assert.deepEqual(
        again.outcomes.map(({ agent }) => agent?.id),
        [ids[1]],
      );
      assert.equal(again.rosterDigest, digestOf([ids[1]!]));
    });

    it('that lies changes nothing of another node', async () => {
      const [node, other] = [await hub().connected(), await hub().connected()];
      const agent = await node.register(`gil-${node.name}`);
      const fine = `hal-${node.name}`;
      const lies = [
        { id: agent.id, name: agent.name },
        { name: agent.name },
        { name: 'n o' },
        { name: fine },
        { name: fine },
      ];
      const { outcomes } = await other.syncRoster(lies);
      assert.deepEqual(
        outcomes.map(({ reason }) => reason),
        ['AGENT_MOVED', 'LISTED_TWICE', 'INVALID_NAME', '', 'LISTED_TWICE'],
      );
      const taken = (await other.syncRoster([{ name: agent.name }])).outcomes[0]!;
      assert.deepEqual([taken.reason, taken.suggestion !== ''], ['NAME_TAKEN', true]);
      const mine = (await synced(node)).agents.filter((route) => route.node === node.id);
      assert.deepEqual(
        mine.map((route) => route.agent),
        [agent.id],
      );
      assert.equal((await node.beat()).rosterDiffers, false);
    });

    it('of more than 10,000 is refused as a whole', async () => {
      const node = await hub().connected();
      const many = Array.from({ length: 10_001 }, (_, i) => ({ name: `x-${i}` }));
      assert.equal(await reasonOf(node.syncRoster(many)), 'ROSTER_TOO_LARGE');
    });
  });

  describe('sync', () => {
    it('brings all of the org, and then what has changed', async () => {
      const [node, other] = [await hub().connected(), await hub().connected()];
      const agent = await other.register(`ida-${other.name}`);
      const all = await synced(node);
      assert.equal(all.full, true);
      for (const { id } of [node, other]) assert.ok(all.nodes.some((route) => route.node === id));
      const route = all.agents.find(({ agent: id }) => id === agent.id)!;
      assert.deepEqual([route.name, route.node], [agent.name, other.id]);
      const later = await other.register(`jan-${other.name}`);
      await hub().registry.calls.deregisterAgent({ agent: agent.id }, { token: other.token });
      const since = await synced(node, all.revision);
      if (!since.full) assert.ok(since.removed.includes(agent.id));
      assert.ok(since.agents.some(({ agent: id }) => id === later.id));
      assert.ok(!since.agents.some(({ agent: id }) => id === agent.id));
      assert.ok((await node.beat()).syncRevision >= since.revision);
    });

    it('answers in full when it cannot say what has changed', async () => {
      const node = await hub().connected();
      assert.equal((await synced(node, 4_000_000_000)).full, true);
      const token = { token: node.token };
      assert.equal(
        await reasonOf(node.registry.calls.sync({ pageToken: 'none' }, token)),
        'INVALID_PAGE_TOKEN',
      );
    });
  });
};
