// Goal: a message to a channel reaches its members wherever they live, once each and in order with mail to one of them, and
// `send --wait` ends when it has ended for all of them.
// Method: `up` and two nodes, members that are mailboxes, all by the command line; the trace says what became of it.

import { strict as assert } from 'node:assert';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from './command-line.ts';

const MEMBERS = { ann: 'laptop', ben: 'desktop', cleo: 'desktop' };

describe('messages to many', function () {
  this.timeout(180_000);
  let home: Home;

  before(async () => {
    home = openHome();
    await home.ok('up', '--detach');
    for (const name of ['laptop', 'desktop']) await home.ok('node', 'start', name, '--detach');
    await home.ok('channel', 'create', 'ops');
    for (const [name, node] of Object.entries(MEMBERS)) {
      await home.ok('agent', 'run', name, '--node', node);
      await home.ok('channel', 'join', 'ops', name);
    }
    await eventually(async () => (await home.ok('route', 'explain', '#ops')).recipients === 3);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  const bodies = async (name: string, count: number): Promise<string[]> => {
    const found: string[] = [];
    await eventually(async () => {
      const { messages } = await home.ok('inbox', name, '--wait', '10');
      found.push(...messages.map((m: { body: string }) => m.body));
      return found.length >= count;
    });
    return found;
  };

  it('end for the sender when they have ended for each member', async () => {
    const [sent, ...read] = await Promise.all([
      home.ok('send', '#ops', 'stand up', '--wait', '60'),
      ...Object.keys(MEMBERS).map((name) => bodies(name, 1)),
    ]);
    assert.deepEqual(read, [['stand up'], ['stand up'], ['stand up']]);
    assert.deepEqual([sent.final, sent.recipients, sent.stage], [true, 3, 'confirmed']);
    const names = sent.receipts.map((r: { recipient_name: string }) => r.recipient_name).sort();
    assert.deepEqual(names, ['ann', 'ben', 'cleo']);
    const trace = await eventually(async () => {
      const { code, json } = await home.run(['trace', sent.id, '--json']);
      return code === 0 && json.settlements.length === 3 ? json : undefined;
    });
    assert.equal(trace.recipients, 3);
    assert.ok(trace.settlements.every((s: { final: boolean }) => s.final));
  });

  it('do not come back to a member that sends them', async () => {
    const { recipients, nodes } = await home.ok('route', 'explain', '#ops', '--from', 'ann');
    assert.deepEqual([recipients, nodes.length], [2, 1]);
    const sending = home.ok('send', '#ops', 'from ann', '--from', 'ann', '--wait', '60');
    assert.deepEqual(await bodies('ben', 1), ['from ann']);
    assert.deepEqual(await bodies('cleo', 1), ['from ann']);
    assert.equal((await sending).final, true);
    assert.deepEqual((await home.ok('inbox', 'ann', '--peek')).messages, []);
  });

  it('keep their order with mail to one of their recipients', async () => {
    const wanted: string[] = [];
    for (let i = 0; i < 6; i++) {
      wanted.push(`${i}`);
      await home.ok('send', ['ben', '#ops', '*@desktop'][i % 3]!, `${i}`);
    }
    assert.deepEqual(await bodies('ben', 6), wanted);
  });

  it('are refused where the address means nobody', async () => {
    const { reason } = await home.refused(['send', '#opps', 'anyone?', '--wait', '20']);
    assert.equal(reason, 'UNKNOWN_CHANNEL');
  });
});
