// Goal: with servers of others `up` starts none of its own: in JWT mode by the configuration that bootstrap prints, on
// a plain server only when told that it serves a single org; what does not fit together is refused by name.
// Method: real nats-servers and a PostgreSQL that the test runs; the command line as processes.

import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@fleetwire/embedded';
import { startTestNats, startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type Home, openHome } from './command-line.ts';

/** Sends through the fabric of the home and reads what came, then ends it; no server of its own was made. */
async function proveMailFlows(home: Home): Promise<void> {
  await home.ok('agent', 'run', 'bob');
  await home.ok('send', 'bob', 'hello');
  const { messages } = await home.ok('inbox', 'bob', '--wait', '5');
  assert.equal(messages[0].body, 'hello');
  for (const name of ['nats', 'postgres'])
    assert.equal(existsSync(join(home.path, 'data', 'fabric', name)), false, `there is a folder for ${name}`);
}

describe('up on servers of others', () => {
  let database: TestPostgres;
  before(async () => {
    database = await startTestPostgres();
  });
  after(() => database[Symbol.asyncDispose]());

  it('JWT mode: the configuration and the keys of bootstrap fit together, other keys are refused', async () => {
    await using home = openHome();
    const keys = join(home.path, 'keys');
    const port = await freePort();
    let printed = '';
    await using nats = await startTestNats({
      config: async ({ dir }) => {
        const args = ['bootstrap', '--host', '127.0.0.1', '--port', String(port), '--store', dir];
        const { code, out } = await home.run(args, { env: { FLEETWIRE_KEYS_DIR: keys } });
        assert.equal(code, 0);
        printed = out;
        return out;
      },
    });
    assert.match(printed, /resolver/);
    const outside = { FLEETWIRE_NATS_URL: nats.url, FLEETWIRE_DATABASE_URL: database.url };
    const foreign = await home.refused(['up'], { env: outside });
    assert.deepEqual([foreign.reason, foreign.code], ['NATS_REFUSED', 77]);
    assert.match(foreign.help, /FLEETWIRE_KEYS_DIR/);
    const env = { ...outside, FLEETWIRE_KEYS_DIR: keys };
    const apply = await home.run(['bootstrap', '--apply', '--json'], { env });
    assert.deepEqual([apply.code, apply.json?.applied], [0, true], apply.err);
    const up = await home.run(['up', '--detach', '--json'], { env });
    assert.equal(up.code, 0, up.err);
    const status = await home.ok('status');
    assert.deepEqual(
      [status.healthy, status.single_tenant, status.nats, status.postgres],
      [true, false, 'outside', 'outside'],
    );
    await proveMailFlows(home);
  });

  const { OUTSIDE_NATS_URL: url, OUTSIDE_KEYS_DIR: keys } = process.env;
  if (url !== undefined && keys !== undefined) {
    it('the servers of FLEETWIRE_NATS_URL and FLEETWIRE_KEYS_DIR: the demo, and the demo again', async () => {
      await using home = openHome();
      await using own = await startTestPostgres();
      const env = { FLEETWIRE_NATS_URL: url, FLEETWIRE_KEYS_DIR: keys, FLEETWIRE_DATABASE_URL: own.url };
      for (let round = 1; round <= 2; round++) {
        const demo = await home.run(['demo', '--json'], { env });
        assert.equal(demo.code, 0, demo.err);
        assert.equal(demo.json.messages.length, 2);
      }
    });
  }

  it('a plain server: only with the switch, which status and doctor then show to everybody', async () => {
    await using home = openHome();
    await using nats = await startTestNats();
    await using own = await startTestPostgres();
    const outside = { FLEETWIRE_NATS_URL: nats.url, FLEETWIRE_DATABASE_URL: own.url };
    const refused = await home.refused(['up'], { env: outside });
    assert.deepEqual([refused.reason, refused.code], ['NATS_WITHOUT_ACCOUNTS', 78]);
    assert.match(refused.help, /FLEETWIRE_NATS_SINGLE_TENANT=true/);
    const doctor = await home.run(['doctor', '--json'], { env: outside });
    const finding = doctor.json.findings.find((f: { check: string }) => f.check === 'nats-server');
    assert.deepEqual([doctor.code, finding.state], [69, 'fail']);
    const env = { ...outside, FLEETWIRE_NATS_SINGLE_TENANT: 'true' };
    const up = await home.run(['up', '--detach', '--json'], { env });
    assert.equal(up.code, 0, up.err);
    const status = await home.ok('status');
    assert.deepEqual([status.healthy, status.single_tenant], [true, true]);
    assert.match((await home.run(['status'])).out, /single tenant: the broker keeps no orgs apart/);
    const tenants = (await home.ok('doctor')).findings.find((f: { check: string }) => f.check === 'tenants');
    assert.equal(tenants.state, 'warn');
    await proveMailFlows(home);
  });
});
