// Goal: `up` starts a fabric that every other command finds, survives crashes of itself and of its servers without
// losing mail, and ends cleanly; also as an ordinary user, and on servers that others run.
// Method: the command line as processes in home folders of their own; kills by signal; state read by commands and files.

import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { identityOf } from '@fleetwire/embedded';
import { isMessageId } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome, processesIn } from './command-line.ts';

const SLOW = { timeoutMs: 30_000, everyMs: 100 };

/** What has ended and only waits for its parent to notice does not count. */
const isAlive = (pid: number): boolean => identityOf(pid) !== undefined;

/** Reads until `count` messages of the agent's mailbox have come. */
async function mail(home: Home, agent: string, count: number): Promise<string[]> {
  const bodies: string[] = [];
  await eventually(async () => {
    const { json, code } = await home.run(['inbox', agent, '--wait', '5', '--json']);
    if (code === 0) bodies.push(...json.messages.map((m: { body: string }) => m.body));
    return bodies.length >= count;
  }, SLOW);
  return bodies;
}

describe('up, down and what lies between', () => {
  let home: Home;
  let ports: Record<string, number>;
  before(() => {
    home = openHome();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  it('starts in the background; a second one says that it runs; others need no flags', async () => {
    const up = await home.ok('up', '--detach');
    assert.equal(up.started, true);
    assert.ok(isAlive(up.pid));
    assert.deepEqual(await home.ok('up'), { started: false, pid: up.pid, context: 'local' });
    assert.deepEqual(await home.ok('up', '--detach'), { started: false, pid: up.pid, context: 'local' });
    const status = await home.ok('status');
    assert.equal(status.healthy && status.ready && status.running, true);
    assert.equal(status.single_tenant, false);
    ports = home.file('data', 'fabric', 'fabric.json').ports;
  });

  it('runs a node, agents on it and mail between them', async () => {
    const node = await home.ok('node', 'start', 'laptop', '--detach');
    assert.equal(node.started, true);
    assert.deepEqual(await home.ok('node', 'start', 'laptop'), { ...node, started: false });
    for (const name of ['bob', 'carol']) await home.ok('agent', 'run', name, '--node', 'laptop');
    const sent = await home.ok('send', 'bob', 'hello', 'there');
    assert.ok(isMessageId(sent.id));
    assert.deepEqual(await mail(home, 'bob', 1), ['hello there']);
    const who = await home.ok('who');
    assert.deepEqual(who.agents.map((a: { name: string }) => a.name).sort(), ['bob', 'carol', 'operator']);
  });

  it('brings a killed nats-server back on its port, and no mail is lost', async () => {
    const killed = home.childPid('nats');
    process.kill(killed, 'SIGKILL');
    for (const text of ['one', 'two', 'three']) await home.ok('send', 'bob', text);
    assert.deepEqual(await mail(home, 'bob', 3), ['one', 'two', 'three']);
    assert.notEqual(home.childPid('nats'), killed);
  });

  it('brings a killed PostgreSQL back on its port; mail flows meanwhile, history follows', async () => {
    const killed = home.childPid('postgres');
    process.kill(killed, 'SIGKILL');
    const sent = await home.ok('send', 'bob', 'still here');
    assert.deepEqual(await mail(home, 'bob', 1), ['still here']);
    await eventually(async () => {
      const { json } = await home.run(['trace', sent.id, '--json']);
      return json.hops?.some((hop: { stage: string }) => hop.stage === 'confirmed') === true;
    }, SLOW);
    assert.notEqual(home.childPid('postgres'), killed);
  });

  it('goes on after kill -9: orphans end, ports and agents stay, waiting mail and history are there', async () => {
    const waiting = await home.ok('send', 'carol', 'waits through it');
    await eventually(async () => (await home.run(['trace', waiting.id])).code === 0, SLOW);
    const orphans = [home.childPid('nats'), home.childPid('postgres')];
    const { pid } = await home.ok('status');
    process.kill(pid, 'SIGKILL');
    await eventually(() => !isAlive(pid));
    assert.equal((await home.refused(['send', 'carol', 'x'])).reason, 'FABRIC_DOWN');
    // Its node runs on, so this is accepted and waits on that node's disk.
    await home.ok('send', 'operator', 'meanwhile', '--from', 'bob');
    const up = await home.ok('up', '--detach');
    assert.equal(up.started, true);
    assert.notEqual(up.pid, pid);
    // A node that was without its servers for a while looks for them a few seconds later at most.
    await eventually(async () => {
      const { code, json } = await home.run(['status', '--json']);
      return code === 0 && json.ready === true;
    }, SLOW);
    assert.deepEqual(orphans.filter(isAlive), []);
    assert.deepEqual(home.file('data', 'fabric', 'fabric.json').ports, ports);
    assert.deepEqual(await mail(home, 'carol', 1), ['waits through it']);
    assert.deepEqual(await mail(home, 'operator', 1), ['meanwhile']);
    assert.equal((await home.ok('trace', waiting.id)).id, waiting.id);
  });

  it('is not taken in by the files of a node that was killed', async () => {
    const before = await home.ok('node', 'start', 'laptop', '--detach');
    process.kill(before.pid, 'SIGKILL');
    await eventually(() => !isAlive(before.pid));
    const { json, code } = await home.run(['status', '--json']);
    const laptop = json.parts.find((part: { name: string }) => part.name === 'laptop');
    assert.deepEqual([laptop.status, code], ['crashed', 69]);
    assert.equal((await home.refused(['agent', 'run', 'dora', '--node', 'laptop'])).reason, 'NODE_DOWN');
    const address = home.file('data', 'nodes', 'laptop', 'node.json').address;
    const again = await home.ok('node', 'start', 'laptop', '--detach');
    assert.equal(again.started, true);
    // Programs of its agents know the address.
    assert.equal(home.file('data', 'nodes', 'laptop', 'node.json').address, address);
    await home.ok('agent', 'run', 'dora', '--node', 'laptop');
  });

  it('ends all with down, twice without harm, and starts again where it was', async () => {
    await home.ok('send', 'dora', 'over night');
    const servers = [home.childPid('nats'), home.childPid('postgres')];
    assert.deepEqual(await home.ok('down'), { stopped: ['laptop', 'fabric'] });
    assert.deepEqual(await home.ok('down'), { stopped: [] });
    assert.deepEqual(servers.filter(isAlive), []);
    assert.deepEqual(processesIn(home.path), []);
    const { code, json } = await home.run(['status', '--json']);
    assert.deepEqual([code, json.running, json.healthy], [69, false, false]);
    await Promise.all([home.ok('up', '--detach'), home.ok('doctor').catch(() => undefined)]);
    await home.ok('node', 'start', 'laptop', '--detach');
    assert.deepEqual(home.file('data', 'fabric', 'fabric.json').ports, ports);
    assert.deepEqual(await mail(home, 'dora', 1), ['over night']);
    await home.ok('down');
  });
});

describe('up in the foreground', () => {
  let home: Home;
  before(() => {
    home = openHome();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  it('ends cleanly when the signal comes while it starts', async () => {
    const up = home.start(['up', '--json']);
    await eventually(() => home.childPid('postgres') > 0, SLOW);
    up.child.kill('SIGINT');
    const { code, json } = await up.ended;
    assert.equal(json.error.reason, 'STOPPED');
    assert.equal(code, 75);
    assert.deepEqual(processesIn(home.path), []);
  });

  it('prints one document, ends everything on Ctrl-C and exits with 0', async () => {
    const up = home.start(['up', '--json']);
    await eventually(() => up.out().endsWith('}\n'), SLOW);
    const node = home.start(['node', 'start', 'desk']);
    await eventually(() => node.out().includes('desk runs'), SLOW);
    node.child.kill('SIGINT');
    const nodeEnded = await node.ended;
    assert.equal(nodeEnded.code, 0);
    assert.match(nodeEnded.out, /^desk runs[^\n]*\n$/, 'no log line on stdout');
    up.child.kill('SIGINT');
    const { code, json, err } = await up.ended;
    assert.equal(code, 0, err);
    assert.equal(json.started, true);
    assert.deepEqual(processesIn(home.path), []);
  });

  it('ends at once on a second Ctrl-C, its servers with it', async () => {
    const up = home.start(['up']);
    await eventually(() => up.out().includes('Ctrl-C'), SLOW);
    const servers = [home.childPid('nats'), home.childPid('postgres')];
    up.child.stderr!.on('data', () => {
      if (up.err().includes('ending')) up.child.kill('SIGINT');
    });
    up.child.kill('SIGINT');
    assert.equal((await up.ended).code, 130);
    await eventually(() => !servers.some(isAlive), SLOW);
  });
});

describe('up as an ordinary user', () => {
  it('runs and ends without any right of root', async function () {
    if (process.getuid?.() !== 0) return this.skip();
    await using home = openHome({ user: { uid: 65534, gid: 65534 } });
    assert.equal((await home.ok('up', '--detach')).started, true);
    await home.ok('agent', 'run', 'bob');
    await home.ok('send', 'bob', 'hello');
    assert.deepEqual(await mail(home, 'bob', 1), ['hello']);
    assert.deepEqual(await home.ok('down'), { stopped: ['fabric'] });
    assert.deepEqual(processesIn(join(home.path, 'data')), []);
  });
});
