// Goal: the commands for the cluster, nodes, agents, channels and groups ask the registry for what was typed, answer with
// stable documents, and refuse slips before anything is asked. While the hub is away a node's word is told as such.
// Method: the command line against services in this process that answer what a test says; what goes on, as a process.

import { strict as assert } from 'node:assert';
import { Agent, Channel, Node } from '@fleetwire/gen/registry';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type StandIn, standIn } from './stand-in.ts';

const agent = (name: string, more: Parameters<typeof Agent.fromPartial>[0] = {}) =>
  Agent.fromPartial({ id: `a_${name}`, name, node: 'n_1', nodeName: 'laptop', status: 'online', ...more });
const node = (name: string, more: Parameters<typeof Node.fromPartial>[0] = {}) =>
  Node.fromPartial({ id: `n_${name}`, name, status: 'online', version: '0.1.0', protocol: 2, ...more });
const ids = (value: unknown) => (value as { id: string }[]).map(({ id }) => id);

describe('commands for a fleet', function () {
  this.timeout(60_000);
  let w: StandIn;
  beforeEach(async () => {
    w = await standIn();
  });
  afterEach(() => w[Symbol.asyncDispose]());
  const only = () => {
    assert.equal(w.asked.length, 1, JSON.stringify(w.asked));
    return w.asked[0]!;
  };

  it('show the cluster with totals, and whose identity was used elsewhere', async () => {
    w.answers.registry['listNodes'] = () => ({
      nodes: [
        node('laptop', { agents: 2, load: 3, contender: 'attic, 10.0.0.9' }),
        node('desktop', { status: 'offline', agents: 1 }),
      ],
    });
    const { code, json } = await w.run('cluster', 'status', '--json');
    const totals = json['totals'] as Record<string, unknown>;
    assert.deepEqual(
      [code, totals['nodes'], totals['online'], totals['offline'], totals['agents'], totals['agents_online']],
      [0, 2, 1, 1, 3, 2],
    );
    assert.deepEqual([totals['contenders'], totals['versions']], [1, { '0.1.0': 2 }]);
    const shown = json['nodes'] as Record<string, unknown>[];
    assert.deepEqual([shown[0]!['load'], shown[0]!['protocol']], [3, 2]);
    const people = await w.run('cluster', 'status');
    assert.match(people.out, /^2 nodes: 1 online, 1 offline; 3 agents, 2 on nodes that are online\n/);
    assert.match(people.out, /! laptop: .* refused: attic, 10\.0\.0\.9/);
  });

  it('ask for what was typed', async () => {
    const one = { node: node('laptop') };
    Object.assign(w.answers.registry, {
      drainNode: () => one,
      requestKeyRotation: () => one,
      adoptNode: () => one,
      moveAgent: () => ({ agent: agent('alice', { nodeName: 'desktop', moving: true, adapter: 'tmux' }) }),
      renameAgent: () => ({ agent: agent('eve') }),
      deregisterAgent: () => ({}),
      createChannel: () => ({ channel: Channel.fromPartial({ name: 'review', kind: 'channel' }) }),
      joinChannel: () => ({ channel: Channel.fromPartial({ name: 'review', kind: 'group', members: 2 }) }),
      leaveChannel: () => ({ channel: Channel.fromPartial({ name: 'review', kind: 'channel', members: 1 }) }),
      deleteChannel: () => ({}),
    });
    const cases: [string, string, object, RegExp][] = [
      [
        'node drain laptop',
        'drainNode',
        { node: 'laptop', undo: false },
        /takes no new agents; no agent lives/,
      ],
      ['node drain laptop --undo', 'drainNode', { node: 'laptop', undo: true }, /takes agents again/],
      ['node rotate-key laptop', 'requestKeyRotation', { node: 'laptop' }, /another key/],
      ['node adopt laptop', 'adoptNode', { node: 'laptop' }, /laptop is yours/],
      [
        'agent move alice --to desktop',
        'moveAgent',
        { agent: 'alice', toNode: 'desktop' },
        /mail is on the way\nits program .* fleetwire agent run alice --node desktop -- COMMAND\n/,
      ],
      ['agent rename alice eve', 'renameAgent', { agent: 'alice', name: 'eve' }, /alice is eve now/],
      ['agent remove alice', 'deregisterAgent', { agent: 'alice' }, /alice is removed/],
      ['channel create review', 'createChannel', { name: 'review', kind: 'channel' }, /#review: 0 members/],
      ['channel create #review', 'createChannel', { name: 'review', kind: 'channel' }, /#review/],
      [
        'group join review alice bob',
        'joinChannel',
        { channel: '%review', agents: ['alice', 'bob'] },
        /%review: 2 m/,
      ],
      [
        'channel leave review bob',
        'leaveChannel',
        { channel: '#review', agents: ['bob'] },
        /#review: 1 member\n/,
      ],
      ['group delete %review', 'deleteChannel', { channel: '%review' }, /%review is deleted/],
    ];
    for (const [line, method, request, says] of cases) {
      w.asked.length = 0;
      const { code, out, err } = await w.run(...line.split(' '));
      assert.equal(code, 0, `${line}: ${err}`);
      assert.deepEqual({ ...only() }, { method, request }, line);
      assert.match(out, says, line);
    }
  });

  it('refuse slips before anything is asked', async () => {
    const cases: [string, string][] = [
      ['node drain no:de', 'INVALID_NAME'],
      ['node drain laptop --undo --wait', 'INVALID_USAGE'],
      ['node drain laptop --wait --timeout soon', 'INVALID_OPTION'],
      ['node status attic', 'NODE_MISSING'],
      ['node token revoke fwj_secret', 'INVALID_OPTION'],
      ['node token list --status lost', 'INVALID_OPTION'],
      ['cluster join desktop', 'INVALID_OPTION'],
      ['cluster join desktop:70000', 'INVALID_OPTION'],
      ['agent move alice', 'INVALID_USAGE'],
      ['agent rename alice a_b', 'INVALID_NAME'],
      ['agent run alice --capability ?', 'INVALID_OPTION'],
      ['agent run alice --visibility group', 'INVALID_OPTION'],
      ['agent run alice --tool git --no-tools', 'INVALID_OPTION'],
      ['channel create %review', 'INVALID_NAME'],
      ['channel join review', 'INVALID_USAGE'],
      ['who ?', 'INVALID_OPTION'],
    ];
    for (const [line, reason] of cases) {
      const { code, json, out, err } = await w.run(...line.split(' '), '--json');
      assert.equal((json['error'] as { reason?: string } | undefined)?.reason, reason, `${line}: ${out}`);
      assert.ok(code !== 0 && !err.includes('fwj_'), line);
    }
    assert.deepEqual(w.asked, []);
  });

  it('do not say that an agent is removed whose id nobody has', async () => {
    const unknown = () => {
      throw new FleetwireError('not_found', 'UNKNOWN_AGENT', 'there is no such agent');
    };
    Object.assign(w.answers.registry, { lookupAgent: unknown, deregisterAgent: () => ({}) });
    const { code, json } = await w.run('agent', 'remove', newId('agent'), '--json');
    assert.deepEqual([code !== 0, (json['error'] as { reason: string }).reason], [true, 'UNKNOWN_AGENT']);
  });

  it('name what was typed when a capability is none', async () => {
    const { err } = await w.run('who', '?');
    assert.ok(err.includes('?CAPABILITY') && !err.includes('--capability'), err);
  });

  it('remove a node only when somebody says yes', async () => {
    w.answers.registry['listNodes'] = () => ({ nodes: [node('laptop', { agents: 1 })] });
    w.answers.registry['removeNode'] = () => ({ agents: 1 });
    const unasked = await w.run('node', 'remove', 'laptop', '--json');
    assert.equal((unasked.json['error'] as { reason: string }).reason, 'CONFIRMATION_MISSING');
    assert.ok(!w.asked.some(({ method }) => method === 'removeNode'));
    const typo = await w.run('cluster', 'remove', 'lapto', '--yes', '--json');
    assert.match((typo.json['error'] as { help: string }).help, /laptop/);
    const { json } = await w.run('cluster', 'remove', 'LAPTOP', '--yes', '--json');
    assert.deepEqual(json, { node: 'n_laptop', name: 'laptop', removed: true, agents: 1 });
    assert.deepEqual(w.asked.at(-1), { method: 'removeNode', request: { node: 'n_laptop' } });
  });

  it('wait until a node is drained, and give up in time', async () => {
    let agents = 2;
    w.answers.registry['drainNode'] = () => ({ node: node('laptop', { agents, draining: true }) });
    w.answers.registry['listNodes'] = () => ({ nodes: [node('laptop', { agents })] });
    const waiting = w.go('node', 'drain', 'laptop', '--wait');
    await eventually(() => waiting.err.includes('2 agents on laptop'));
    agents = 0;
    assert.equal((await waiting.ended).code, 0);
    agents = 1;
    const late = await w.run('node', 'drain', 'laptop', '--wait', '--timeout', '1s', '--json');
    assert.equal((late.json['error'] as { reason: string }).reason, 'NOT_DRAINED_YET');
  });

  it('give agents their profile, and leave what is known where nothing is said', async () => {
    w.answers.node['runAgent'] = () => ({ agent: { id: 'a_1', name: 'alice', adapter: 'mailbox' } });
    const line =
      'agent run alice --node laptop --capability Review --capability code --no-tools --movable --take-over';
    assert.equal((await w.run(...line.split(' '))).code, 0);
    const { profile, takeOver } = only().request as { profile: Agent['profile']; takeOver: boolean };
    assert.deepEqual([takeOver, profile!.capabilities, profile!.movable], [true, ['review', 'code'], true]);
    assert.deepEqual(profile!.tools, { tools: [] });
    await w.run('agent', 'run', 'alice', '--node', 'laptop');
    assert.equal((w.asked[1]!.request as { profile?: object }).profile, undefined);
  });

  it('say who can do something, best first', async () => {
    const able = { profile: { capabilities: ['review'] } };
    w.answers.registry['listNodes'] = () => ({
      nodes: [
        node('busy', { id: 'n_1', load: 9 }),
        node('idle', { id: 'n_2', load: 1 }),
        node('draining', { id: 'n_3', draining: true, status: 'draining' }),
      ],
    });
    w.answers.registry['listAgents'] = () => ({
      agents: [
        agent('asleep', { ...able, status: 'offline', node: 'n_2' }),
        agent('bob', able),
        agent('carol', { ...able, node: 'n_3' }),
        agent('mo', { ...able, node: 'n_2', moving: true }),
        agent('sue', { ...able, node: 'n_2', status: 'suspended' }),
        agent('zoe', { ...able, node: 'n_2' }),
      ],
    });
    const { json } = await w.run('who', '?Review', '--json');
    assert.deepEqual(ids(json['agents']), ['a_zoe', 'a_bob', 'a_carol', 'a_mo', 'a_asleep', 'a_sue']);
    const people = await w.run('who', '?review');
    assert.match(
      people.out,
      /^zoe@laptop\nbob@laptop\ncarol@laptop \(draining\)\nmo@laptop \(moving\)\nasleep@/,
    );
    assert.match(people.out, /sue@laptop \(suspended\)\n$/);
    const { request } = w.asked.find(({ method }) => method === 'listAgents')!;
    assert.equal((request as { capability: string }).capability, 'review');
  });

  it('tell what a node knows while the hub is away, and since when, without the words of the transport', async () => {
    const route = { agent: 'a_bob', name: 'bob', node: 'n_2', nodeName: 'desktop', capabilities: ['review'] };
    const asOfMs = Date.now() - 180_000;
    await w.endHub();
    w.answers.node['directory'] = () => ({ asOfMs: 0 });
    const nothing = await w.run('who');
    assert.equal(nothing.code, 69);
    assert.match(nothing.err, /^fleetwire: \w+ does not answer at 127\.0\.0\.1:\d+ \(PEER_UNREACHABLE\)\n/);
    assert.doesNotMatch(nothing.err, /ECONN|connection established|UNAVAILABLE/);
    w.answers.node['directory'] = () => ({
      agents: [route, { ...route, agent: 'a_eve', name: 'eve', node: 'n_3' }],
      nodes: [{ node: 'n_2', name: 'desktop', online: true }],
      asOfMs,
    });
    const { code, json } = await w.run('who', '--json');
    assert.deepEqual([code, ids(json['agents'])], [0, ['a_bob']]);
    assert.deepEqual(json['directory'], { as_of: new Date(asOfMs).toISOString(), current: false });
    const people = await w.run('who', '?review');
    assert.match(people.out, /^bob@desktop\neve@desktop \(offline\)\nas the hub said 3m ago\n$/);
    assert.match(people.err, /does not answer at/);
    const unknown = await w.run('who', 'boob', '--json');
    assert.equal((unknown.json['error'] as { reason: string }).reason, 'UNKNOWN_AGENT');
  });

  it('show the nodes of this machine as they see themselves', async () => {
    const told = { node: 'n_1', name: 'hub-attic', hub: 'active', agents: 1, protocol: 2, draining: true };
    w.answers.node['nodeStatus'] = () => ({ ...told, contender: 'cellar' });
    const { out } = await w.run('node', 'status', 'laptop');
    assert.match(out, /laptop +active +2 .* 1 agent, 0 to send/);
    assert.match(out, /! laptop: called hub-attic[\s\S]*draining[\s\S]*refused: cellar/);
    const { json } = await w.run('node', 'status', '--json');
    const [shown] = json['nodes'] as Record<string, unknown>[];
    assert.deepEqual(
      [shown!['node_name'], shown!['draining'], shown!['pid']],
      ['hub-attic', true, process.pid],
    );
    const why = `NODE_REMOVED: ${'it was removed; '.repeat(20)}join with a new join token`;
    w.answers.node['nodeStatus'] = () => ({ ...told, hub: 'refused', hubError: why });
    const refused = await w.run('node', 'status', 'laptop');
    assert.match(
      refused.out,
      /laptop +refused .* to deliver\n[\s\S]*! laptop: NODE_REMOVED: .*a new join token\n/,
    );
    assert.doesNotMatch(refused.out, /draining/);
    // It says by its exit code that not all is well here.
    w.answers.node['nodeStatus'] = () => ({ ...told, contender: 'cellar' });
    const all = await w.go('status').ended;
    assert.match(all.out, /node laptop +active .*1 agent, [\s\S]*draining[\s\S]*cellar/);
  });

  it('say for whom mail waits on them', async () => {
    const waits = (i: number) => ({ to: `agent${i}`, reason: 'queue_full', waiting: 120, credits: i });
    const heldBack = [{ ...waits(0), to: '*', reason: 'rate_limited' }, ...[0, 1, 2, 3, 4, 5].map(waits)];
    w.answers.node['nodeStatus'] = () => ({ node: 'n_1', name: 'laptop', hub: 'active', heldBack });
    const { out } = await w.run('node', 'status', 'laptop');
    assert.match(out, /! laptop: all mail waits: rate_limited, 120 waiting\n/);
    assert.match(out, /! laptop: mail for agent0 waits: queue_full, 120 waiting\n/);
    assert.match(out, /agent1 waits: queue_full, 120 waiting, 1 may go\n[\s\S]*for 2 more recipients/);
    const { json } = await w.run('node', 'status', '--json');
    const [shown] = json['nodes'] as Record<string, unknown>[];
    assert.deepEqual(shown!['held_back'], heldBack);
    assert.match((await w.go('status').ended).out, /mail for agent0 waits: queue_full/);
  });

  it('list and revoke join tokens by their ids', async () => {
    const id = 'j_0000000000000001';
    w.answers.org['listJoinTokens'] = () => ({
      tokens: [{ id, user: 'u_1', status: 'open', createdAtMs: 1, expiresAtMs: 2 }],
    });
    w.answers.org['revokeJoinToken'] = () => ({});
    const { json } = await w.run('node', 'token', 'list', '--status', 'open', '--json');
    assert.deepEqual(ids(json['tokens']), [id]);
    assert.equal((only().request as { status: string }).status, 'open');
    assert.match((await w.run('node', 'token', 'revoke', id)).out, /is revoked/);
    assert.deepEqual(w.asked.at(-1), { method: 'revokeJoinToken', request: { org: '', id } });
  });

  it('go on showing what changes until Ctrl-C: lines for people, documents for programs', async () => {
    let nodes = [node('laptop', { lastSeenAtMs: 1 })];
    let fault: FleetwireError | undefined;
    w.answers.registry['listNodes'] = () => {
      if (fault !== undefined) throw fault;
      // The time of the last heartbeat moves always.
      return { nodes: nodes.map((each) => ({ ...each, lastSeenAtMs: Date.now() })) };
    };
    const people = w.go('node', 'list', '--watch');
    const programs = w.go('node', 'list', '--watch', '--json');
    const lines = () => programs.out.trimEnd().split('\n');
    await eventually(() => people.out.includes('laptop') && programs.out.includes('laptop'));
    const looked = w.asked.length;
    await eventually(() => w.asked.length >= looked + 6);
    assert.equal(lines().length, 1, 'only heartbeats came');
    nodes = [node('laptop', { status: 'offline' }), node('desktop')];
    await eventually(() => /\+ desktop/.test(people.out) && lines().length === 2);
    assert.match(people.out, /- laptop {2}online[\s\S]*\+ laptop {2}offline/);
    fault = new FleetwireError('unavailable', 'DATABASE_AWAY', 'the database is away');
    await eventually(() => /! the database is away; trying again/.test(people.out) && lines().length === 3);
    fault = undefined;
    nodes = [];
    await eventually(() => /answers again[\s\S]*- desktop/.test(people.out) && lines().length === 4);
    const documents = lines().map((line) => JSON.parse(line));
    assert.deepEqual(
      documents.map((each) => each.error?.reason ?? each.nodes.length),
      [1, 2, 'DATABASE_AWAY', 0],
    );
    people.interrupt();
    programs.interrupt();
    for (const ended of await Promise.all([people.ended, programs.ended]))
      assert.equal(ended.code, 0, ended.err);
  });
});
