// Goal: a question finds its answer or its end across processes, and what nobody waits for is given up, each with one end.
// Method: all services and two nodes as processes of their own; clients of the SDK; history is asked what became of everything.

import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { Stage } from '@fleetwire/gen/message';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { newMessageId } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { type Agent, type ConnectOptions, connect, type Message } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type NodePart, type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

describe('questions across processes', function () {
  this.timeout(120_000);
  let fabric: SeparateFabric;
  let near: NodePart;
  let far: NodePart;
  let env: Record<string, string>;
  const agents: Agent[] = [];

  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['near', 'far'] });
    [near, far] = [fabric.nodes['near']!, fabric.nodes['far']!];
    env = await homeOf(fabric);
  });
  after(() => fabric[Symbol.asyncDispose]());
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.close()));
  });

  async function attach(node: NodePart, name: string, more: ConnectOptions = {}): Promise<Agent> {
    const agent = await connect({ address: node.address, token: node.adminToken(), name, ...more });
    agents.push(agent);
    return agent;
  }
  function collect(agent: Agent): Message[] {
    const seen: Message[] = [];
    void (async () => {
      for await (const message of agent.messages()) seen.push(message);
    })().catch(() => undefined);
    return seen;
  }
  /** How many messages wait on a node. */
  async function withDoor<T>(
    node: NodePart,
    work: (door: ReturnType<typeof doorOf>) => Promise<T>,
  ): Promise<T> {
    const door = doorOf(node);
    try {
      return await work(door);
    } finally {
      door.close();
    }
  }
  const doorOf = (node: NodePart) =>
    createRpcClient(NodeServiceDefinition, { address: node.address, token: () => node.adminToken() });
  const waiting = (node: NodePart) => withDoor(node, async (door) => (await door.nodeStatus({})).inboxDepth);
  /** The end of a message of a node's agent. */
  async function endOf(node: NodePart, id: string) {
    const { receipts } = await withDoor(node, (door) => door.waitMessage({ id, timeoutMs: 20_000 }));
    const end = receipts.find((receipt) => receipt.final);
    return [end?.stage, end?.reason];
  }

  it('are taken back from who is at work on them, and from whoever was chosen for them', async () => {
    const alice = await attach(near, 'alice');
    const bob = await attach(far, 'bob', { profile: { capabilities: ['review'] } });
    const ofBob = collect(bob);
    for (const to of ['bob', '?review']) {
      const stop = new AbortController();
      const answer = alice.ask(to, `to ${to}`, { signal: stop.signal });
      const question = await eventually(() => ofBob.find((message) => message.text === `to ${to}`));
      assert.equal(question.signal.aborted, false);
      stop.abort();
      await assert.rejects(answer, { reason: 'ASK_CANCELLED' });
      await eventually(() => question.signal.aborted, { timeoutMs: 20_000 });
    }
    assert.equal(ofBob.length, 2);
  });

  it('are withdrawn from a queue on the other node, and refused to who only knows their id', async () => {
    const alice = await attach(near, 'alice');
    await attach(far, 'carol', { window: 1 });
    await alice.send('carol', 'taken by nobody yet');
    const id = newMessageId();
    const stop = new AbortController();
    const answer = alice.ask('carol', 'why?', { id, signal: stop.signal });
    await eventually(async () => (await waiting(far)) === 2);
    await attach(near, 'mallory');
    const forged = { to: 'carol', cancels: id };
    await withDoor(near, (door) =>
      assert.rejects(door.send({ from: 'mallory', message: forged }), { reason: 'NOTHING_TO_CANCEL' }),
    );
    assert.equal(await waiting(far), 2);
    stop.abort();
    await assert.rejects(answer, { reason: 'ASK_CANCELLED' });
    assert.deepEqual(await endOf(near, id), [Stage.RETURNED, 'CANCELLED']);
    await eventually(async () => (await waiting(far)) === 1);
    await withDoor(far, (door) => door.stopAgent({ name: 'carol' }));
  });

  it('fail at once when there is nobody, with the names that are near', async () => {
    const alice = await attach(near, 'alice');
    const started = performance.now();
    await assert.rejects(alice.ask('carrol', 'why?', { timeoutMs: 60_000 }), {
      kind: 'not_found',
      reason: 'UNKNOWN_AGENT',
    });
    assert(performance.now() - started < 30_000);
  });

  it('are answered, or taken back, over a killed node of the answerer', async () => {
    const alice = await attach(near, 'alice');
    const ofAlice = collect(alice);
    const dave = await attach(far, 'dave');
    const ofDave = collect(dave);
    const stop = new AbortController();
    const kept = alice.ask('dave', 'answer this', { timeoutMs: 90_000 });
    const dropped = alice.ask('dave', 'and not this', { timeoutMs: 90_000, signal: stop.signal });
    await eventually(() => ofDave.length === 2);
    await far.kill();
    const gone = assert.rejects(dropped, { reason: 'ASK_CANCELLED' });
    stop.abort();
    await gone;
    await far.start();
    const [first, second] = ofDave as [Message, Message];
    await eventually(() => second.signal.aborted, { timeoutMs: 60_000 });
    assert.equal(first.signal.aborted, false);
    await dave.reply(first, 'here it is');
    assert.equal((await kept).text, 'here it is');
    await dave.reply(second, 'too late');
    await eventually(() => ofAlice.some((message) => message.text === 'too late'), { timeoutMs: 20_000 });
    assert.equal(ofDave.length, 2);
  });

  /** `fleetwire ask` in the name of a mailbox on the near node. */
  function asking(...args: string[]) {
    const child = spawn(process.execPath, [CLI, 'ask', ...args, '--from', 'desk'], {
      env: childEnvironment(env),
    });
    const said = { out: '', err: '' };
    child.stdout.on('data', (data) => (said.out += data));
    child.stderr.on('data', (data) => (said.err += data));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { said, ended, interrupt: () => child.kill('SIGINT') };
  }

  describe('by the command line', () => {
    let ofErin: Message[];
    before(async () => {
      await withDoor(near, (door) => door.runAgent({ name: 'desk', adapter: 'mailbox' }));
    });

    async function erin(): Promise<Agent> {
      const agent = await attach(far, 'erin');
      ofErin = collect(agent);
      return agent;
    }

    it('print the answer, and leave other mail where it is', async () => {
      const agent = await erin();
      await agent.send('desk', 'something else');
      const asked = asking('erin', 'is it done?', '--timeout', '60s');
      const question = await eventually(() => ofErin[0], { timeoutMs: 30_000 });
      await eventually(() => /by erin, waiting for an answer/.test(asked.said.err), { timeoutMs: 20_000 });
      await agent.reply(question, 'it is\ndone');
      assert.equal(await asked.ended, 0);
      assert.equal(asked.said.out, 'it is\ndone\n');
      const { deliveries } = await withDoor(near, (door) => door.readInbox({ agent: 'desk' }));
      assert.deepEqual(
        deliveries.map((delivery) => Buffer.from(delivery.body).toString()),
        ['something else'],
      );
      const json = asking('erin', 'as a document', '--json');
      await agent.reply(await eventually(() => ofErin[1], { timeoutMs: 30_000 }), 'yes');
      assert.equal(await json.ended, 0);
      const { id, answer } = JSON.parse(json.said.out);
      assert.deepEqual([answer.from, answer.body, answer.reply_to], ['erin', 'yes', id]);
    });

    it('are taken back across nodes by Ctrl-C, and when the time is over', async () => {
      await erin();
      const given = asking('erin', 'never mind', '--json');
      const first = await eventually(() => ofErin[0], { timeoutMs: 30_000 });
      given.interrupt();
      assert.equal(await given.ended, 75);
      assert.equal(JSON.parse(given.said.out).error.reason, 'ASK_CANCELLED');
      await eventually(() => first.signal.aborted, { timeoutMs: 20_000 });
      const late = asking('erin', 'in a second', '--timeout', '1s', '--json');
      assert.equal(await late.ended, 75);
      assert.equal(JSON.parse(late.said.out).error.reason, 'ASK_TIMEOUT');
    });

    it('end at once when nobody gets them', async () => {
      const asked = asking('nobody-at-all', 'why?', '--json');
      assert.equal(await asked.ended, 68);
      assert.equal(JSON.parse(asked.said.out).error.reason, 'UNKNOWN_AGENT');
      await attach(near, 'frank');
      const elsewhere = spawn(process.execPath, [CLI, 'ask', 'bob', 'x', '--from', 'frank'], {
        env: childEnvironment(env),
        stdio: 'ignore',
      });
      assert.equal(
        await new Promise((resolve) => elsewhere.once('close', resolve)),
        78,
        'its mail goes to a session',
      );
    });
  });
});

/** Where the command line finds the fabric, and the nodes of this machine. */
async function homeOf({ folder, addresses }: SeparateFabric): Promise<Record<string, string>> {
  const home = join(folder, 'home');
  await mkdir(join(home, 'config', 'contexts'), { recursive: true });
  const api_key_file = join(folder, 'keys', 'first-api-key');
  const context = { version: 1, name: 'local', org: '', endpoints: addresses, api_key_file };
  await writeFile(join(home, 'config', 'contexts', 'local.json'), JSON.stringify(context));
  await mkdir(join(home, 'data'));
  await symlink(join(folder, 'nodes'), join(home, 'data', 'nodes'));
  return { FLEETWIRE_HOME: home };
}
