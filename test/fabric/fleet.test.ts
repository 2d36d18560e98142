// Goal: machines come, work, are drained, rotated, copied, removed and die, and what people are told of it is so.
// Method: `up` with short times, nodes in home folders of their own as machines, all by the command line; the README's section
// on nodes, channels and capabilities word for word.

import { strict as assert } from 'node:assert';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from './command-line.ts';
import { commands, runInShell } from './readme-section.ts';

const SLOW = { timeoutMs: 40_000, everyMs: 200 };
/** Liveness and sweep as in production, but twenty times faster. */
const SHORT = {
  FLEETWIRE_REGISTRY_HEARTBEAT_MS: '500',
  FLEETWIRE_REGISTRY_LIVENESS_MS: '3000',
  FLEETWIRE_REGISTRY_FLUSH_MS: '200',
  FLEETWIRE_REGISTRY_SWEEP_MS: '200',
  FLEETWIRE_REGISTRY_LOOK_MS: '100',
  FLEETWIRE_REGISTRY_STALE_MS: '4000',
};

describe('a fleet', function () {
  this.timeout(180_000);
  let hub: Home;
  /** Another machine: a home of its own, without a fabric. */
  let other: Home;
  const machine = async (home: Home, name: string) => {
    const { join_token: token, hub: address } = await hub.ok('node', 'token');
    return home.run(['cluster', 'join', address, '--token', token, name, '--detach']);
  };
  const node = async (name: string) => {
    const { nodes } = await hub.ok('node', 'list');
    return nodes.find((n: { name: string }) => n.name === name);
  };
  const agent = async (name: string) => {
    const { agents } = await hub.ok('agent', 'list');
    return agents.find((a: { name: string }) => a.name === name);
  };
  const linkOf = async (home: Home, name: string) => {
    const { json } = await home.run(['status', '--json']);
    return json.parts.find((p: { name: string; kind: string }) => p.kind === 'node' && p.name === name);
  };

  before(async () => {
    hub = openHome({ env: SHORT });
    other = openHome();
    await hub.ok('up', '--detach');
    for (const name of ['laptop', 'desktop']) await hub.ok('node', 'start', name, '--detach');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') for (const home of [hub, other]) home.keep();
  });
  after(async () => {
    await other[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  it('is run in the words of the README', async () => {
    const lines = commands('Nodes, channels, capabilities');
    assert.ok(lines.length >= 10, `only ${lines.length} commands are there`);
    const { code, out, err } = await runInShell(hub, lines);
    assert.equal(code, 0, err.slice(-2000));
    assert.match(out, /rita@laptop/);
    assert.match(out, /rosa +online +laptop/);
    assert.equal(await agent('rosa'), undefined);
  });

  it('gives work to one agent that can do it, wherever it lives', async () => {
    await hub.ok('agent', 'run', 'vera', '--node', 'laptop', '--capability', 'vet');
    await hub.ok('agent', 'run', 'otto', '--node', 'desktop', '--capability', 'plan');
    await hub.ok('send', '?vet', 'which one?');
    const { messages } = await hub.ok('inbox', 'vera', '--wait', '20');
    assert.deepEqual(
      messages.map((m: { body: string }) => m.body),
      ['which one?'],
    );
    const nobody = await hub.refused(['send', '?paint', 'anyone?', '--wait', '20']);
    assert.equal(nobody.reason, 'NO_CAPABLE_AGENT');
  });

  it('sends mail after an agent that is renamed and moved', async () => {
    await hub.ok('send', 'vera', 'before');
    await hub.ok('agent', 'rename', 'vera', 'vanja');
    await hub.ok('send', 'vanja', 'between');
    await hub.ok('agent', 'move', 'vanja', '--to', 'desktop');
    await hub.ok('send', 'vanja', 'after');
    const bodies: string[] = [];
    await eventually(async () => {
      const { code, json } = await hub.run(['inbox', 'vanja', '--node', 'desktop', '--wait', '5', '--json']);
      if (code === 0) bodies.push(...json.messages.map((m: { body: string }) => m.body));
      return bodies.length >= 3;
    }, SLOW);
    assert.deepEqual(bodies, ['before', 'between', 'after']);
    assert.equal((await agent('vanja')).node_name, 'desktop');
  });

  it('takes a machine in by a token, rotates its key, and shuts it out for good', async () => {
    assert.equal((await machine(other, 'cabin')).code, 0);
    await eventually(async () => (await node('cabin')).status === 'online', SLOW);
    const before = other.file('data', 'nodes', 'cabin', 'identity.json').publicKey;
    await hub.ok('node', 'rotate-key', 'cabin', '--wait');
    await eventually(() => other.file('data', 'nodes', 'cabin', 'identity.json').publicKey !== before, SLOW);
    await eventually(async () => (await linkOf(other, 'cabin')).status === 'active', SLOW);
    await hub.ok('node', 'remove', 'cabin', '--yes');
    assert.equal(await node('cabin'), undefined);
    await eventually(async () => {
      const part = await linkOf(other, 'cabin');
      return part.status === 'refused' && /NODE_REMOVED/.test(JSON.stringify(part));
    }, SLOW);
    await other.ok('node', 'stop', 'cabin');
  });

  it('refuses a copy of a machine, and tells both', async () => {
    assert.equal((await machine(other, 'tower')).code, 0);
    await using copy = openHome();
    mkdirSync(join(copy.path, 'data', 'nodes'), { recursive: true });
    // As from an image of the machine's disk, taken while it ran.
    const folder = join('data', 'nodes', 'tower');
    cpSync(join(other.path, folder), join(copy.path, folder), {
      recursive: true,
      filter: (file) => !/(lock\.json|node\.json|port)$/.test(file),
    });
    await copy.ok('node', 'start', 'tower', '--detach');
    await eventually(async () => {
      const part = await linkOf(copy, 'tower');
      return part?.status === 'refused' && /IDENTITY_IN_USE/.test(JSON.stringify(part));
    }, SLOW);
    await eventually(async () => (await node('tower')).contender !== '', SLOW);
    await eventually(async () => (await linkOf(other, 'tower')).notes.length > 0, SLOW);
    assert.equal((await linkOf(other, 'tower')).status, 'active');
  });

  it('shows a machine that dies as offline, and frees the names of its agents later', async () => {
    await other.ok('agent', 'run', 'greta', '--node', 'tower');
    await eventually(async () => (await agent('greta'))?.status === 'online', SLOW);
    const { pid } = other.file('data', 'nodes', 'tower', 'node.json');
    process.kill(pid, 'SIGKILL');
    await eventually(async () => (await node('tower')).status === 'offline', SLOW);
    const taken = await hub.run(['agent', 'run', 'greta', '--node', 'laptop', '--json']);
    if (taken.code !== 0) assert.equal(taken.json.error.reason, 'NAME_TAKEN');
    await eventually(
      async () => (await hub.run(['agent', 'run', 'greta', '--node', 'laptop'])).code === 0,
      SLOW,
    );
    assert.equal((await agent('greta')).node_name, 'laptop');
    // The machine that comes back finds its agent's name with somebody else, and says so.
    await other.ok('node', 'start', 'tower', '--detach');
    await eventually(async () => (await node('tower')).status === 'online', SLOW);
    assert.equal((await agent('greta')).node_name, 'laptop');
  });
});
