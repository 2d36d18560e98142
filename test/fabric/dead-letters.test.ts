// Goal: what died is seen, sent again, received once and confirmed, though delivery is killed in the middle of it; the trace
// shows every attempt, the audit who decided. A conversation is shown as a tree.
// Method: the whole fabric as separate processes, SDK agents on two nodes, and the command line as people use it.

import { strict as assert } from 'node:assert';
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { childEnvironment } from '@fleetwire/config';
import { newMessageId } from '@fleetwire/kernel';
import { type Agent, connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { fleetwireIn } from './fleetwire-in.ts';
import { type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
const MANY = 300;

// biome-ignore lint/suspicious/noExplicitAny: documents of the command line
type Document = any;

describe('dead letters', function () {
  this.timeout(180_000);
  let fabric: SeparateFabric;
  let env: Record<string, string>;
  let fleetwire: Awaited<ReturnType<typeof fleetwireIn>>;
  const open: Agent[] = [];

  before(async () => {
    const settings = {
      FLEETWIRE_DELIVERY_LETTERS_INTERVAL_MS: '600000',
      FLEETWIRE_NODE_BUSY_RETRY_MS: '1000',
    };
    fabric = await startSeparateFabric({ nodes: ['near', 'far'], env: settings });
    fleetwire = await fleetwireIn(fabric);
    env = { FLEETWIRE_HOME: join(fabric.folder, 'home') };
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') fabric.keep();
    await Promise.all(open.splice(0).map((agent) => agent.close().catch(() => undefined)));
  });
  after(() => fabric[Symbol.asyncDispose]());

  async function agentOn(place: 'near' | 'far', name: string, more: object = {}): Promise<Agent> {
    const { address, adminToken } = fabric.nodes[place]!;
    const agent = await connect({ address, token: adminToken(), name, ...more });
    open.push(agent);
    return agent;
  }

  function taking(agent: Agent): string[] {
    const ids: string[] = [];
    void (async () => {
      for await (const message of agent.messages()) {
        ids.push(message.id);
        message.ack();
      }
    })().catch(() => undefined);
    return ids;
  }

  const openLetters = async (count: number, ...filter: string[]): Promise<Document[]> =>
    eventually(
      async () => {
        const { letters } = await fleetwire('dead', 'list', ...filter);
        return letters.length >= count ? letters : undefined;
      },
      { timeoutMs: 30_000, everyMs: 300 },
    );

  for (const place of ['near', 'far'] as const)
    it(`of a full queue are received once when replayed, sent from the node ${place}`, async () => {
      const [sender, recipient] = [`alice-${place}`, `bob-${place}`];
      const alice = await agentOn(place, sender);
      // Mail waits for whoever is away.
      const away = await agentOn('far', recipient, { queue: { messages: 2, drop: 'oldest' } });
      await away.close();
      const ids: string[] = [];
      for (const text of ['one', 'two', 'three']) ids.push((await alice.send(recipient, text)).id);
      const [letter] = await openLetters(1, '--sender', sender);
      assert.deepEqual(
        [letter.message_id, letter.reason, letter.to, letter.state, letter.attempt],
        [ids[0], 'QUEUE_OVERFLOW', recipient, 'open', 0],
      );
      const bob = await agentOn('far', recipient);
      const taken = taking(bob);
      await eventually(() => taken.length === 2, { timeoutMs: 20_000 });
      const done = await fleetwire('dead', 'replay', letter.id);
      assert.deepEqual(done.replayed, [{ id: letter.id, message_id: ids[0], attempt: 1 }]);
      await eventually(() => taken.length === 3, { timeoutMs: 20_000 });
      assert.deepEqual(taken, [ids[1], ids[2], ids[0]]);
      const trace = await eventually(
        async () => {
          const found = await fleetwire('trace', ids[0]!);
          return found.settlements[0]?.stage === 'confirmed' ? found : undefined;
        },
        { timeoutMs: 20_000, everyMs: 300 },
      );
      assert.deepEqual([trace.settlements.length, trace.settlements[0].attempt], [1, 1]);
      const way = trace.hops.map((hop: Document) => `${hop.attempt} ${hop.service} ${hop.stage}`);
      const first =
        place === 'far' ? ['0 node held', '0 node dead'] : ['0 router routed', '0 node held', '0 node dead'];
      assert.deepEqual(way, [
        '0 node accepted',
        ...first,
        '1 delivery accepted',
        '1 router routed',
        '1 node held',
        '1 node delivered',
        '1 node confirmed',
      ]);
      assert.equal(trace.hops[0].node_name, place);
      assert.ok(trace.hops.every((hop: Document) => hop.since_previous_ms >= 0));
      const shown = await fleetwire('dead', 'show', letter.id);
      assert.deepEqual(
        [shown.state, shown.body, shown.replays[0].settlements[0].stage],
        ['replayed', 'one', 'confirmed'],
      );
      const audit = await eventually(
        async () => {
          const { entries } = await fleetwire('audit', 'list', '--action', 'dead');
          return entries.find((entry: Document) => JSON.stringify(entry).includes(letter.id));
        },
        { timeoutMs: 20_000, everyMs: 300 },
      );
      assert.deepEqual([audit.action, audit.decision, audit.actor_kind], ['dead.replay', 'allowed', 'user']);
      await assert.rejects(fleetwire('dead', 'replay', letter.id), /LETTER_REPLAYED/);
      assert.equal(taken.length, 3);
    });

  it('are all replayed by the repeated command after delivery was killed in the middle, and none twice', async () => {
    const alice = await agentOn('near', 'mallory');
    const sent = await Promise.all(Array.from({ length: MANY }, (_, i) => alice.send('dora', `number ${i}`)));
    await openLetters(MANY, '--recipient', 'dora', '--limit', '1000');
    const dora = await agentOn('far', 'dora');
    const taken = taking(dora);
    const request = newMessageId();
    const args = ['dead', 'replay', '--recipient', 'dora', '--yes', '--request', request, '--json'];
    const first = spawn(process.execPath, [CLI, ...args], { env: childEnvironment(env), stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => first.once('exit', resolve));
    await eventually(() => taken.length > 20, { timeoutMs: 30_000, everyMs: 1 });
    await fabric.parts.delivery.kill();
    assert.notEqual(await ended, 0, 'the command was interrupted');
    assert.ok(taken.length < MANY, 'in the middle');
    await fabric.parts.delivery.start();
    await run(process.execPath, [CLI, ...args], { env: childEnvironment(env) });
    await eventually(() => taken.length >= MANY, { timeoutMs: 30_000 });
    assert.deepEqual([...taken].sort(), sent.map(({ id }) => id).sort());
    assert.equal((await fleetwire('dead', 'list', '--recipient', 'dora')).letters.length, 0);
    const audited = await eventually(
      async () => {
        const { entries } = await fleetwire('audit', 'list', '--action', 'dead.replay');
        const own = entries.filter((entry: Document) => entry.details.request === request);
        const sum = own.reduce((all: number, entry: Document) => all + Number(entry.details.count), 0);
        return sum === MANY ? own : undefined;
      },
      { timeoutMs: 20_000, everyMs: 300 },
    );
    assert.equal(audited[0].details.selection, 'recipient=dora');
  });

  it('a conversation is a tree of what answers what; what is no id is said to be none', async () => {
    const [ann, ben] = [await agentOn('near', 'ann'), await agentOn('far', 'ben')];
    void (async () => {
      for await (const message of ben.messages()) {
        message.ack();
        await ben.reply(message, `answer to ${message.text}`);
      }
    })().catch(() => undefined);
    const back = taking(ann);
    const correlationId = 'case 42';
    const root = await ann.send('ben', 'first', { correlationId });
    await ann.send('ben', 'second', { correlationId, replyTo: root.id });
    await eventually(() => back.length === 2, { timeoutMs: 20_000 });
    const found = await eventually(
      async () => {
        const document = await fleetwire('trace', 'case 42');
        const whole =
          document.messages.length === 4 && document.messages.every((m: Document) => m.duration_ms !== null);
        return whole ? document : undefined;
      },
      { timeoutMs: 20_000, everyMs: 300 },
    );
    const lines = found.messages.map((m: Document) => `${m.depth} ${m.from} ${m.text}`);
    assert.equal(lines[0], '0 ann first');
    assert.deepEqual(lines.toSorted(), [
      '0 ann first',
      '1 ann second',
      '1 ben answer to first',
      '2 ben answer to second',
    ]);
    assert.equal(lines.indexOf('2 ben answer to second'), lines.indexOf('1 ann second') + 1);
    const byMessage = await fleetwire('trace', back[0]!, '--conversation');
    assert.equal(byMessage.correlation_id, correlationId);
    const { stdout } = await run(process.execPath, [CLI, 'trace', 'case 42'], { env: childEnvironment(env) });
    assert.match(stdout, /^ann -> ben .*\n└ |^conversation case 42 {2}4 messages\n\nann -> ben/m);
    await assert.rejects(fleetwire('trace', 'bob'), /INVALID_ID/);
    await assert.rejects(fleetwire('trace', newMessageId()), /MESSAGE_UNKNOWN/);
  });
});
