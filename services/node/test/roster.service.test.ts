/**
 * Goal: what becomes of agents at the registry reaches the node and its programs, and what they say of themselves the registry.
 * Method: a real node, its client and the SDK against the small hub, of protocol 2 and of protocol 1.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentProfile, SyncResponse } from '@fleetwire/gen/registry';
import { connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { outgoing, refusalOf } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

/** A program that says its token and lives on. */
const PROGRAM = [
  process.execPath,
  '-e',
  'console.error("token=" + process.env.FLEETWIRE_AGENT_TOKEN + ";"); setInterval(() => {}, 1000)',
];

describe('roster of a node', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = new TestNode(hub, 'left', { heartbeat_ms: '50', roster_retry_ms: '50' });
    await node.start();
    await node.active();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const known = (name: string) => hub.agents.get(name);
  const routeOf = (name: string) => {
    const { id: agent, node: home } = known(name)!;
    return { agent, name, node: home, nodeName: 'left', epoch: 2 };
  };
  const local = async (name: string) =>
    (await node.client().listLocalAgents({})).agents.find((agent) => agent.name === name);

  it('tells what an agent says of itself, which stays until it says something else', async () => {
    const profile = AgentProfile.fromPartial({ model: 'm-1', capabilities: ['Review'] });
    const client = node.client();
    await client.runAgent({ name: 'box', adapter: 'mailbox', profile });
    assert.deepEqual(
      [known('box')!.profile?.model, known('box')!.profile?.capabilities],
      ['m-1', ['review']],
    );
    await node.stop();
    await node.start();
    await node.active();
    hub.agents.clear();
    await eventually(() => known('box')?.profile?.model === 'm-1');
    const session = await TestSession.open(node.client(), { name: 'box' });
    assert.equal((await local('box'))!.profile?.model, 'm-1');
    session.close();
    const changed = AgentProfile.fromPartial({ model: 'm-2' });
    await TestSession.open(node.client(), { name: 'box', profile: changed });
    await eventually(() => known('box')!.profile?.model === 'm-2');
  });

  it('refuses what does not fit before it registers anybody', async () => {
    const profile = AgentProfile.fromPartial({ capabilities: ['ok', 'not ok'] });
    const client = node.client();
    for (const call of [
      () => client.runAgent({ name: 'box', adapter: 'mailbox', profile }),
      () => TestSession.open(client, { name: 'box', profile }),
    ]) {
      const error = await refusalOf(call);
      assert.equal(error.reason, 'INVALID_PROFILE');
      assert.deepEqual(
        error.violations.map((violation) => violation.field),
        ['profile.capabilities[1]'],
      );
    }
    assert.equal(hub.agents.size, 0);
  });

  it('passes on that an agent is to be taken over', async () => {
    await node.client().runAgent({ name: 'box', adapter: 'mailbox', takeOver: true });
    await TestSession.open(node.client(), { name: 'alice', takeOver: true });
    await TestSession.open(node.client(), { name: 'bob' });
    assert.deepEqual(
      hub.registrations.map((request) => request.takeOver),
      [true, true, false],
    );
  });

  it('says where a program runs, and that it runs no more', async () => {
    const { agent } = await node.client().runAgent({ name: 'prog', adapter: 'stdio', command: PROGRAM });
    const process_ = { kind: 'process', details: { pid: String(agent!.pid) } };
    await eventually(() => known('prog')!.profile?.location?.kind === 'process');
    assert.deepEqual(known('prog')!.profile?.location, process_);
    process.kill(agent!.pid, 'SIGKILL');
    await eventually(() => known('prog')!.profile?.location?.details['ended'] === 'ended');
    assert.equal((await local('prog'))!.state, 'exited');
  });

  it('keeps the mail and the program of an agent that the registry had forgotten', async () => {
    const { agent } = await node.client().runAgent({ name: 'prog', adapter: 'stdio', command: PROGRAM });
    const log = join(node.folder.path, 'agents', agent!.id, 'program.log');
    const token = await eventually(() => /token=([^;]+);/.exec(readFileSync(log, 'utf8'))?.[1]);
    await node.client().runAgent({ name: 'box', adapter: 'mailbox' });
    const client = node.client();
    await client.send({ from: 'box', message: outgoing('box', 'waiting') });
    hub.agents.clear();
    await eventually(async () => (await local('box'))!.id === known('box')?.id);
    assert.notEqual(known('prog')!.id, agent!.id);
    const own = node.client(token);
    await own.send({ from: 'prog', message: outgoing('box', 'still me') });
    const { deliveries } = await client.readInbox({ agent: 'box' });
    assert.deepEqual(
      deliveries.map((delivery) => Buffer.from(delivery.body).toString()),
      ['waiting', 'still me'],
    );
    assert.equal(deliveries[1]!.fromAgent, known('prog')!.id);
  });

  it('follows a new name: a session goes on, comes back by it, and nobody new is registered', async () => {
    const file = JSON.parse(readFileSync(join(node.folder.path, 'node.json'), 'utf8'));
    const token = readFileSync(join(node.folder.path, 'admin-token'), 'utf8').trim();
    const address = () => JSON.parse(readFileSync(join(node.folder.path, 'node.json'), 'utf8')).address;
    assert.ok(file.address);
    const agent = await connect({ address, token, name: 'alice' });
    try {
      hub.rename('alice', 'alicia');
      // Digests are of ids: the directory shows it.
      hub.syncRevision = 2;
      hub.sync = () => SyncResponse.fromPartial({ full: true, revision: 2, agents: [routeOf('alicia')] });
      await eventually(async () => (await local('alicia')) !== undefined);
      await node.stop();
      await node.start();
      await eventually(() => agent.connected && agent.name === 'alicia');
      const { id } = await agent.send('alicia', 'to myself');
      for await (const message of agent.messages()) {
        assert.deepEqual([message.id, message.from], [id, 'alicia']);
        break;
      }
      assert.deepEqual([...hub.agents.keys()], ['alicia']);
    } finally {
      await agent.close();
    }
  });

  it('shows that a name is taken, goes on, and has it once it is free', async () => {
    await node.client().runAgent({ name: 'box', adapter: 'mailbox' });
    const { id, node: own } = known('box')!;
    hub.nodes.set('n_elsewhere', { id: 'n_elsewhere', name: 'elsewhere', publicKey: '', former: '' });
    hub.agents.clear();
    hub.newAgent('n_elsewhere', 'box');
    await eventually(async () => (await local('box'))!.refused === 'NAME_TAKEN');
    assert.deepEqual([(await local('box'))!.suggestion, (await local('box'))!.id], ['box-2', id]);
    await node.client().send({ from: 'box', message: outgoing('box', 'still here') });
    hub.agents.clear();
    await eventually(async () => (await local('box'))!.refused === '');
    assert.equal(known('box')!.node, own);
  });

  it('leaves out an agent that was removed while the registry was away', async () => {
    const client = node.client();
    for (const name of ['box', 'other']) await client.runAgent({ name, adapter: 'mailbox' });
    await hub.stopRegistry();
    await client.stopAgent({ name: 'box' });
    assert.ok(known('box'));
    await hub.startRegistry();
    await eventually(() => known('box') === undefined);
    assert.ok(known('other'));
  });

  it('goes on with a hub that takes no rosters', async () => {
    await node.dispose();
    hub.protocol = 1;
    node = await new TestNode(hub, 'old', { heartbeat_ms: '50' }).start();
    await node.client().runAgent({ name: 'box', adapter: 'mailbox' });
    hub.agents.clear();
    hub.known = false;
    await eventually(async () => known('box') !== undefined && (await local('box'))!.id === known('box')!.id);
  });
});
