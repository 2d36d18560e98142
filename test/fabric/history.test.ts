// Goal: people find messages again by the command line, in the words of the documentation, and an org's choice of what is kept
// holds from the moment it is made. Method: `up` with a mailbox; messages are sent, read, searched for and filtered.

import { strict as assert } from 'node:assert';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from './command-line.ts';

describe('history by the command line', function () {
  this.timeout(180_000);
  let home: Home;

  before(async () => {
    home = openHome();
    await home.ok('up', '--detach');
    await home.ok('agent', 'run', 'bob', '--node', 'hub');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  const history = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    (await home.ok('history', ...args)).messages;

  const send = async (text: string): Promise<string> => (await home.ok('send', 'bob', text)).id;

  const arrived = (id: string) =>
    eventually(async () => (await history()).some((message) => message['id'] === id), { timeoutMs: 30_000 });

  it('finds messages by words, recipient, stage and time, newest first', async () => {
    const refused = await send('src/main.ts: connection refused');
    const retry = await send('connection refused, will retry');
    await arrived(retry);
    await arrived(refused);
    await eventually(async () => (await history('--text', '"connection refused"')).length === 2, {
      timeoutMs: 60_000,
      everyMs: 500,
    });
    const ids = async (...args: string[]) => (await history(...args)).map(({ id }) => id);
    assert.deepEqual(await ids('--text', '"connection refused" -retry'), [refused]);
    assert.deepEqual(await ids('--text', 'main.ts', '--since', '2h'), [refused]);
    assert.deepEqual(await ids('--since', '2h', '--limit', '1'), [retry]);
    assert.deepEqual(await ids('--until', '2h'), []);
    assert.deepEqual(await ids('--thread', refused), [refused]);
    assert.deepEqual(await ids('--stage', 'dead'), []);
    await home.ok('inbox', 'bob');
    await eventually(async () => (await ids('--recipient', 'bob', '--stage', 'confirmed')).length === 2, {
      timeoutMs: 60_000,
      everyMs: 500,
    });
    const people = await home.run(['history', '--recipient', 'bob']);
    assert.match(people.out, /src\/main\.ts: connection refused/);
    assert.equal((await home.refused(['history', '--text', '-a'])).reason, 'INVALID_SEARCH');
    assert.equal((await home.refused(['history', '--stage', 'gone'])).reason, 'INVALID_OPTION');
    assert.equal((await home.refused(['history', '--from', 'nobody'])).reason, 'UNKNOWN_AGENT');
  });

  it('keeps from then on what the org has chosen', async () => {
    assert.equal((await home.ok('org', 'history')).history, 'full');
    assert.equal((await home.ok('org', 'history', 'metadata')).history, 'metadata');
    await eventually(
      async () => {
        await arrived(await send('not to be kept'));
        const [newest] = await history('--limit', '1');
        return (
          newest!['body'] === null && newest!['body_missing'] === 'metadata' && newest!['body_bytes'] === 14
        );
      },
      { timeoutMs: 30_000 },
    );
    assert.match((await home.run(['org', 'show'])).out, /history +metadata: messages without their bodies/);
    assert.equal((await home.refused(['org', 'history', 'some'])).reason, 'INVALID_OPTION');
    assert.equal((await home.ok('org', 'history', 'full')).history, 'full');
    assert.match((await home.run(['status'])).out, /service delivery +serving/);
  });
});
