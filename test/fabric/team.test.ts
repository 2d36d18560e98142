// Goal: the README's words take a new team from its creation to five members on two nodes, as they stand there.
// Method: cut the commands out of its section and run them in one shell, in order, against a fabric in a home folder of its
// own; then look at what they made, from inside the org and from outside.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from './command-line.ts';
import { commands, runInShell } from './readme-section.ts';

const SLOW = { timeoutMs: 30_000, everyMs: 200 };

describe('a team, in the words of the README', () => {
  let home: Home;
  let id: string;
  const lines = commands('A team');
  before(async () => {
    // Whatever server is installed.
    home = openHome({ env: { FLEETWIRE_ORG_ALLOW_UNSAFE_TENANCY: 'true' } });
    await home.ok('up', '--detach');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  it('runs every command of the section', async function () {
    this.timeout(300_000);
    assert.ok(lines.length >= 25, `only ${lines.length} commands are there`);
    const { code, out, err } = await runInShell(home, [...lines, 'printf "id %s" "$ID"']);
    assert.equal(code, 0, err.slice(-2000));
    id = out.match(/id (\S+)$/)![1]!;
    assert.match(out, /would be denied/);
  });

  it('leaves five members, with the roles that they were given', async () => {
    const { members } = await home.ok('member', 'list', '--context', 'acme');
    const roles = members.map((m: { email: string; role: string }) => `${m.email} ${m.role}`);
    assert.deepEqual(roles.sort(), [
      'ann@example.org owner',
      'bob@example.org member',
      'carol@example.org admin',
      'dan@example.org member',
      'eve@example.org member',
    ]);
    const { invites } = await home.ok('invite', 'list', '--context', 'carol');
    assert.deepEqual(
      invites.map((i: { status: string }) => i.status),
      Array(4).fill('accepted'),
    );
  });

  it('leaves two nodes online, and the message confirmed', async () => {
    await eventually(async () => {
      const { nodes } = await home.ok('node', 'list', '--context', 'dan');
      const online = nodes.filter((n: { status: string }) => n.status === 'online');
      return (
        online
          .map((n: { name: string }) => n.name)
          .sort()
          .join() === 'north,south'
      );
    }, SLOW);
    await eventually(async () => {
      const { hops } = await home.ok('trace', id, '--context', 'eve');
      return hops.some((hop: { stage: string }) => hop.stage === 'confirmed');
    }, SLOW);
  });

  it('leaves the policy, by which a decision is explained', async () => {
    const denied = await home.run([
      'policy',
      'test',
      'message',
      'tester',
      'builder',
      '--context',
      'bob',
      '--json',
    ]);
    assert.deepEqual(
      [denied.code, denied.json.allowed, denied.json.reason, denied.json.matched_policy_name],
      [77, false, 'MESSAGE_DENIED', 'testers report to the lead'],
    );
    const allowed = await home.ok('policy', 'test', 'message', 'tester', 'lead', '--context', 'bob');
    assert.equal(allowed.allowed, true);
  });

  it('leaves an audit of all of it, for those who may read it', async () => {
    const exported = readFileSync(join(home.path, 'audit.jsonl'), 'utf8').trim().split('\n');
    const actions = new Set(exported.map((line) => JSON.parse(line).action));
    for (const action of ['org.create', 'invite.create', 'invite.accept', 'node.join', 'policy.create'])
      assert.ok(actions.has(action), `${action} is not in the audit`);
    const nowhere = [
      'audit',
      'export',
      '--out',
      join(home.path, 'none', 'audit.jsonl'),
      '--context',
      'carol',
    ];
    assert.equal((await home.refused(nowhere)).reason, 'FILE_UNWRITABLE');
    const refused = await home.refused(['audit', 'list', '--context', 'eve']);
    assert.equal(refused.code, 77);
    const { entries } = await home.ok('audit', 'list', '--decision', 'denied', '--context', 'carol');
    assert.equal(entries[0].action, 'audit.read');
  });

  it('leaves the first org as it was, which cannot reach the new one', async () => {
    assert.equal((await home.ok('org', 'use')).current, 'local');
    const { nodes } = await home.ok('node', 'list');
    assert.deepEqual(
      nodes.map((n: { name: string }) => n.name),
      ['hub'],
    );
    assert.equal((await home.ok('member', 'list')).members.length, 1);
    const error = await home.refused(['send', 'tester', 'hello', '--wait', '20']);
    assert.equal(error.reason, 'UNKNOWN_AGENT');
  });

  it('keeps mail and agents within the org in use', async () => {
    const acme = ['--context', 'acme'];
    const bodies = async (...more: string[]) => {
      const { messages } = await home.ok('inbox', 'builder', '--wait', '10', ...more);
      return messages.map((m: { body: string }) => m.body);
    };
    // Of the same name as one of the other org, on a node that comes before theirs.
    await home.ok('agent', 'run', 'builder');
    await home.ok('agent', 'run', 'alone');
    await home.ok('send', 'builder', 'for the first org');
    assert.deepEqual(await bodies('--peek'), ['for the first org']);
    await home.ok('send', 'builder', 'for acme', '--from', 'builder', ...acme);
    assert.deepEqual(await bodies(...acme), ['for acme']);
    const refused: [string, ...string[]][] = [
      // The policy of the section lets the tester write to its lead only.
      ['MESSAGE_DENIED', 'send', 'builder', 'hello', '--from', 'tester', ...acme],
      ['NO_OPERATOR_MAILBOX', 'send', 'tester', 'hello', ...acme],
      ['NO_OPERATOR_MAILBOX', 'inbox', ...acme],
      ['AGENT_NOT_LOCAL', 'inbox', 'alone', ...acme],
      ['AGENT_NOT_LOCAL', 'agent', 'stop', 'alone', ...acme],
      ['AGENT_NOT_LOCAL', 'inbox', 'tester'],
      ['OTHER_ORG', 'agent', 'stop', 'builder', '--node', 'hub', ...acme],
      ['OTHER_ORG', 'send', 'tester', 'hello', '--from', 'builder', '--node', 'hub', ...acme],
      ['OTHER_ORG', 'agent', 'run', 'new', '--node', 'hub', ...acme],
      ['OTHER_ORG', 'agent', 'run', 'new', '--node', 'north'],
      ['NODE_AMBIGUOUS', 'agent', 'run', 'new', ...acme],
    ];
    for (const [reason, ...args] of refused)
      assert.equal((await home.refused(args)).reason, reason, args.join(' '));
    await home.ok('org', 'use', 'acme');
    assert.equal((await home.refused(['send', 'tester', 'hello'])).reason, 'NO_OPERATOR_MAILBOX');
    await home.ok('org', 'use', 'local');
    assert.deepEqual(await bodies(), ['for the first org']);
    for (const name of ['builder', 'alone']) await home.ok('agent', 'stop', name);
  });

  it('leaves a node to its org: nobody starts it for another one', async () => {
    const start = ['node', 'start', 'north', '--detach'];
    const running = await home.refused(start);
    assert.deepEqual([running.reason, running.code], ['NODE_OF_OTHER_ORG', 78]);
    await home.ok('node', 'stop', 'north');
    assert.equal((await home.refused(start)).reason, 'NODE_OF_OTHER_ORG');
    assert.equal((await home.refused(['node', 'start', 'north'])).reason, 'NODE_OF_OTHER_ORG');
    assert.equal((await home.ok(...start, '--context', 'bob')).started, true);
    assert.equal((await home.ok(...start, '--context', 'acme')).started, false);
  });

  it('gives people on a machine of their own what they need to go on', async () => {
    const { url } = await home.ok('invite', 'create', 'fay@example.org', '--context', 'acme');
    await using own = openHome();
    const accepted = await own.ok('invite', 'accept', url, '--email', 'fay@example.org');
    assert.equal(accepted.chosen, true);
    assert.equal((await own.ok('org', 'show')).org.name, 'Acme');
    assert.equal((await own.refused(['send', 'tester', 'hello'])).reason, 'NO_OPERATOR_MAILBOX');
    const { user } = (await home.ok('member', 'list', '--email', 'fay', '--context', 'acme')).members[0];
    const removed = await home.run(['member', 'remove', user, '--context', 'acme']);
    assert.match(removed.out, /machines that they brought into the org are shut out/);
  });

  it('outlasts the fabric: it starts again as its own operator, whichever org was chosen', async () => {
    const { slug } = (await home.ok('org', 'show', '--context', 'acme')).org;
    await home.ok('org', 'use', 'acme');
    const { web } = await home.ok('status');
    await home.ok('down');
    assert.equal((await home.ok('up', '--detach')).context, 'local');
    assert.equal((await home.ok('status')).web, web);
    assert.equal((await home.ok('org', 'show')).org.slug, slug);
    assert.equal((await home.ok('org', 'show', '--context', 'local')).org.slug, 'default');
  });
});
