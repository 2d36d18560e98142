// Goal: a program outside of the fabric follows the receipts of its org by a NATS client and a creds file; the command line does
// too, and goes on where it was.
// Method: `up` and a node; the program of the guide, whose lines the guide shows word for word.

import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { pause } from '@fleetwire/kernel';
import { eventually, startTestNats } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from '../fabric/command-line.ts';

const PROGRAM = fileURLToPath(new URL('./subscriber.ts', import.meta.url));
const GUIDE = readFileSync(new URL('../../docs/guides/subscribers.md', import.meta.url), 'utf8');

interface Line {
  readonly sequence: number;
  readonly message: string;
  readonly stage: string;
}

describe('a subscriber', function () {
  this.timeout(180_000);
  let home: Home;
  before(async () => {
    home = openHome({ refusals: true });
    await home.ok('up', '--detach');
    await home.ok('node', 'start', 'laptop', '--detach');
    await home.ok('agent', 'run', 'bob', '--node', 'laptop');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  /** Sends, and has the mail read; resolves with the id. */
  async function confirmed(text: string): Promise<string> {
    const { id } = await home.ok('send', 'bob', text);
    await eventually(async () => (await home.ok('inbox', 'bob', '--wait', '5')).messages.length > 0);
    return id;
  }

  function follow(created: Record<string, never>, until: string) {
    const {
      creds,
      nats_urls: urls,
      inbox_prefix: inbox,
      jetstream_domain: domain,
      subscription,
    } = created as never as {
      creds: string;
      nats_urls: string[];
      inbox_prefix: string;
      jetstream_domain: string;
      subscription: { stream: string; consumer: string };
    };
    const { stream, consumer } = subscription;
    const args = [PROGRAM, creds, urls[0]!, inbox, domain, stream, consumer, until];
    const child = spawn(process.execPath, args, { env: childEnvironment(), timeout: 60_000 });
    const said = { out: '', err: '' };
    for (const name of ['out', 'err'] as const)
      child[`std${name}`].setEncoding('utf8').on('data', (chunk: string) => {
        said[name] += chunk;
      });
    return new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, ...said })),
    );
  }

  it('by the guide: makes a place, follows, goes on after a break, and is out once it is closed', async () => {
    const file = join(home.path, 'billing.creds');
    const create = ['subscription', 'create', 'receipts', 'billing', '--all', '--out', file] as const;
    const created = await home.ok(...create);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const first = await confirmed('one');
    const one = await follow(created, first);
    assert.equal(one.code, 0, one.err);
    assert.match(one.out, new RegExp(`${first} STAGE_CONFIRMED`));
    const second = await confirmed('two');
    // Renewed: the same place, the same key.
    const again = await home.ok(...create);
    assert.equal(again.resumed, true);
    const two = await follow(again, second);
    assert.equal(two.code, 0, two.err);
    assert.match(two.out, new RegExp(`${second} STAGE_CONFIRMED`));
    assert.doesNotMatch(two.out, new RegExp(first));
    const { subscriptions } = await home.ok('subscription', 'list');
    assert.deepEqual(
      subscriptions.map((s: { what: string; name: string; pending: number }) => [s.what, s.name, s.pending]),
      [['receipts', 'billing', 0]],
    );
    await home.ok('subscription', 'close', 'receipts', 'billing');
    const out = await follow(again, second);
    assert.notEqual(out.code, 0);
    assert.match(out.err, /uthorization/);
    const gone = await home.refused(['subscription', 'close', 'receipts', 'billing']);
    assert.equal(gone.reason, 'SUBSCRIPTION_UNKNOWN');
  });

  it('by the command line: prints, acknowledges, and goes on where it was', async () => {
    const id = await confirmed('three');
    const tail = async (count: number, ...more: string[]): Promise<Line[]> => {
      const args = ['subscribe', 'receipts', '--name', 'tail', '--count', String(count), '--json', ...more];
      const { code, out, err } = await home.run(args);
      assert.equal(code, 0, err);
      return out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Line);
    };
    const first = await tail(1, '--all');
    const rest: Line[] = [];
    await eventually(async () => {
      rest.push(...(await tail(1)));
      return rest.some(({ message, stage }) => message === id && stage === 'confirmed');
    });
    assert.ok(rest.every(({ sequence }) => sequence > first[0]!.sequence));
    const events = await home.run(['subscribe', 'events', '--all', '--service', 'registry', '--count', '1']);
    assert.equal(events.code, 0, events.err);
    assert.match(events.out, /registry\.node_/);
    await home.ok('org', 'events', 'full');
    const following = home.start([
      'subscribe',
      'messages',
      '--event',
      'message_sent',
      '--count',
      '1',
      '--json',
    ]);
    await eventually(async () => {
      const { subscriptions } = await home.ok('subscription', 'list');
      return subscriptions.some(({ what }: { what: string }) => what === 'messages');
    });
    // What the org wants reaches delivery in its own time.
    await eventually(async () => {
      await home.ok('send', 'bob', 'told');
      return Promise.race([following.ended.then(() => true), pause(1000).then(() => false)]);
    });
    const { code, json } = await following.ended;
    assert.equal(code, 0);
    assert.deepEqual([json.name, json.details.content], ['message_sent', 'told']);
    const wrong = await home.refused(['subscribe', 'ingress']);
    assert.equal(wrong.reason, 'INVALID_OPTION');
    const differs = await home.refused(['subscribe', 'receipts', '--name', 'tail', '--node', 'laptop']);
    assert.equal(differs.reason, 'SUBSCRIPTION_DIFFERS');
  });

  it('is told when its place is closed under it', async () => {
    const following = home.start(['subscribe', 'receipts', '--name', 'closed', '--json']);
    await eventually(async () => {
      const { subscriptions } = await home.ok('subscription', 'list');
      return subscriptions.some((s: { name: string }) => s.name === 'closed');
    });
    await home.ok('subscription', 'close', 'receipts', 'closed');
    const { code, json } = await following.ended;
    assert.notEqual(code, 0);
    assert.equal(json.error.reason, 'SUBSCRIPTION_CLOSED');
    // By the same command, with another key in the same file: the one before is refused for good.
    const keys = join(home.path, 'config', 'subscriptions');
    const file = join(keys, 'local.receipts.closed.nk');
    const held = () => readFileSync(file, 'utf8');
    const before = held();
    const again = await home.run(['subscribe', 'receipts', '--name', 'closed', '--all', '--count', '1']);
    assert.equal(again.code, 0, again.err);
    assert.notEqual(held(), before);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(
      readdirSync(keys).filter((name) => !name.endsWith('.nk')),
      [],
    );
    // Another program's by now: it is left to that.
    const creds = join(home.path, 'taken.creds');
    await home.ok('subscription', 'create', 'receipts', 'closed', '--out', creds);
    const mine = held();
    const taken = await home.refused(['subscribe', 'receipts', '--name', 'closed', '--count', '1']);
    assert.deepEqual([taken.reason, held()], ['SUBSCRIPTION_FOLLOWED', mine]);
    rmSync(creds);
    await home.ok('subscription', 'close', 'receipts', 'closed');
  });

  it('has no place by a name that could lead elsewhere, and nothing is written for one', async () => {
    const written = () =>
      readdirSync(home.path, { recursive: true })
        .map(String)
        .filter((file) => /\.(nk|creds)$/.test(file));
    const before = written();
    const evil = '../../../evil';
    for (const args of [
      ['subscribe', 'receipts', `--name=${evil}`],
      ['subscription', 'create', 'receipts', evil],
    ]) {
      const { kind, reason, code } = await home.refused(args);
      assert.deepEqual([kind, reason, code], ['invalid_argument', 'INVALID_OPTION', 64]);
    }
    assert.deepEqual(written(), before);
  });
});

describe('a subscriber of a server without accounts', function () {
  this.timeout(180_000);

  it('follows without credentials, goes on where it was, and is told when its place is closed', async () => {
    await using home = openHome();
    await using nats = await startTestNats();
    const env = { FLEETWIRE_NATS_URL: nats.url, FLEETWIRE_NATS_SINGLE_TENANT: 'true' };
    const up = await home.run(['up', '--detach'], { env });
    assert.equal(up.code, 0, up.err);
    const created = await home.ok('subscription', 'create', 'receipts', 'plain', '--all');
    assert.deepEqual([created.creds, created.jetstream_domain, created.expires_at], [null, '', null]);
    const tail = ['subscribe', 'events', '--all', '--name', 'tail', '--json'];
    const first = await home.run([...tail, '--count', '1']);
    assert.equal(first.code, 0, first.err);
    const following = home.start(tail);
    await eventually(() => following.out() !== '');
    assert.ok(JSON.parse(following.out().split('\n')[0]!).sequence > first.json.sequence);
    await home.ok('subscription', 'close', 'events', 'tail');
    const { code, out } = await following.ended;
    assert.notEqual(code, 0);
    assert.match(out, /"reason": "SUBSCRIPTION_CLOSED"/);
  });
});

describe('the guide for subscribers', () => {
  it('shows what is run', () => {
    const program = readFileSync(PROGRAM, 'utf8');
    const shown = [...GUIDE.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, text]) => text!);
    assert.ok(shown.length > 0);
    for (const block of shown) assert.ok(program.includes(block), `${PROGRAM} has no such lines:\n${block}`);
  });
});
