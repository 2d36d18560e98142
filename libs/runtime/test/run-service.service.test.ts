// Goal: a service's process starts, waits, serves, ends and fails as the lifecycle says, seen from outside.
// Method: a fixture service as a real process; real SIGTERM, SIGINT and SIGKILL; real PostgreSQL and nats-server; exit codes,
// the one line on stderr, the log, and gRPC health.

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { freePort } from '@fleetwire/embedded';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { checkHealth, createRpcClient } from '@fleetwire/rpc';
import { bootstrapFabric } from '@fleetwire/runtime';
import { eventually, startTestNats, startTestPostgres } from '@fleetwire/testkit';
import { describe, it } from 'mocha';

const FIXTURE = fileURLToPath(new URL('./fixture-service.ts', import.meta.url));

interface Line {
  readonly message: string;
  readonly level: string;
  readonly address?: string;
}

interface FixtureProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  lines(): Line[];
  said(message: string): boolean;
  stderr(): string;
  /** Its address, once it is ready. */
  ready(): Promise<string>;
  exited: Promise<{ code: number | null; signal: string | null }>;
}

function startFixture(settings: Record<string, string> = {}): FixtureProcess {
  const env = { ...childEnvironment(), ...settings };
  const child = spawn(process.execPath, [FIXTURE], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const lines = () => {
    const whole = out.slice(0, out.lastIndexOf('\n') + 1).split('\n');
    return whole.filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  };
  const ready = () =>
    eventually(() => {
      assert.equal(child.exitCode, null, `it exited: ${err}`);
      return lines().find((line) => line.message === 'ready')?.address;
    });
  return {
    child,
    lines,
    exited,
    ready,
    said: (message) => lines().some((line) => line.message === message),
    stderr: () => err,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => false,
    () => true,
  );

describe('a service as a process', function () {
  this.timeout(60_000);

  it('becomes ready, and ends in good order on SIGTERM', async () => {
    await using fixture = startFixture();
    const address = await fixture.ready();
    for (const name of ['', 'fixture', 'fleetwire.v1.NodeService'])
      assert.equal(await checkHealth({ address }, name), true);
    fixture.child.kill('SIGTERM');
    assert.deepEqual(await fixture.exited, { code: 0, signal: null });
    const order = fixture.lines().map((line) => line.message);
    const expected = [
      'plain starts',
      'serving',
      'ready',
      'draining',
      'behaving stops',
      'plain stops',
      'stopped',
    ];
    assert.deepEqual(
      order.filter((line) => expected.includes(line)),
      expected,
    );
    assert.equal(fixture.stderr(), '');
  });

  it('finishes a call in flight, on SIGINT as well', async () => {
    await using fixture = startFixture();
    const client = createRpcClient(NodeServiceDefinition, { address: await fixture.ready() });
    const call = client.send({});
    await eventually(() => fixture.said('a call is in flight'));
    fixture.child.kill('SIGINT');
    assert.equal((await call).id, 'finished');
    client.close();
    assert.equal((await fixture.exited).code, 0);
  });

  it('ends within the grace and force times when a part hangs', async () => {
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_HANG_STOP: 'true',
      FLEETWIRE_LIFECYCLE_GRACE_MS: '200',
      FLEETWIRE_LIFECYCLE_FORCE_MS: '200',
    });
    await fixture.ready();
    fixture.child.kill('SIGTERM');
    assert.equal((await fixture.exited).code, 75);
    assert.ok(fixture.said('forcing') && fixture.said('plain stops'));
    assert.match(fixture.stderr(), /STOP_TIMEOUT/);
  });

  it('exits at once on a second signal', async () => {
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_HANG_STOP: 'true',
      FLEETWIRE_LIFECYCLE_GRACE_MS: '600000',
    });
    await fixture.ready();
    fixture.child.kill('SIGTERM');
    await eventually(() => fixture.said('draining'));
    fixture.child.kill('SIGTERM');
    assert.deepEqual(await fixture.exited, { code: 143, signal: null });
  });

  it('says on one line of stderr why it cannot start, and closes what it had opened', async () => {
    await using fixture = startFixture({ FLEETWIRE_FIXTURE_FAIL_START: 'true' });
    assert.equal((await fixture.exited).code, 78);
    assert.equal(fixture.stderr(), 'fleetwire fixture: BROKEN: it is broken really.\n');
    assert.ok(fixture.said('plain stops'));
  });

  it('refuses configuration that is wrong, before anything else', async () => {
    await using fixture = startFixture({ FLEETWIRE_RPC_LISTNE: '127.0.0.1:0' });
    assert.equal((await fixture.exited).code, 64);
    assert.match(
      fixture.stderr(),
      /^fleetwire fixture: UNKNOWN_CONFIG_KEY: .*LISTNE.* FLEETWIRE_RPC_LISTEN\?\n$/,
    );
    assert.deepEqual(fixture.lines(), []);
  });

  it('ends by a fault with the code of its kind, in good order', async () => {
    await using fixture = startFixture({ FLEETWIRE_FIXTURE_FAULT: 'true' });
    assert.equal((await fixture.exited).code, 74);
    assert.match(fixture.stderr(), /TORN/);
    assert.ok(fixture.said('plain stops') && fixture.said('failed'));
  });

  it('can be stopped while it starts', async () => {
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_HANG_START: 'true',
      FLEETWIRE_LIFECYCLE_GRACE_MS: '100',
    });
    await eventually(() => fixture.said('plain starts'));
    fixture.child.kill('SIGTERM');
    assert.equal((await fixture.exited).code, 75);
    assert.match(fixture.stderr(), /STOP_TIMEOUT/);
    assert.ok(fixture.said('plain stops'));
  });

  it('leaves nothing that hinders its successor when it is killed', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    await using first = startFixture({ FLEETWIRE_RPC_LISTEN: listen });
    assert.equal(await first.ready(), listen);
    first.child.kill('SIGKILL');
    await first.exited;
    assert.ok(await refused(checkHealth({ address: listen, deadlineMs: 1000 })));
    await using second = startFixture({ FLEETWIRE_RPC_LISTEN: listen });
    assert.equal(await second.ready(), listen);
  });
});

describe('a service that waits for what it stands on', function () {
  this.timeout(120_000);

  it('gives up after the configured time, saying what to do', async () => {
    const none = `127.0.0.1:${await freePort()}`;
    await using database = startFixture({
      FLEETWIRE_FIXTURE_STORE: 'true',
      FLEETWIRE_DATABASE_URL: `postgres://u:hunter22@${none}/x`,
      FLEETWIRE_LIFECYCLE_WAIT_MS: '300',
    });
    assert.equal((await database.exited).code, 69);
    assert.match(database.stderr(), /DATABASE_AWAY: PostgreSQL was not there.*FLEETWIRE_DATABASE_URL\.\n$/);
    assert.ok(database.said('waiting for PostgreSQL'));
    assert.ok(!`${database.stderr()}${JSON.stringify(database.lines())}`.includes('hunter22'));
    await using broker = startFixture({
      FLEETWIRE_FIXTURE_BROKER: 'true',
      FLEETWIRE_NATS_URL: `nats://${none}`,
      FLEETWIRE_LIFECYCLE_WAIT_MS: '300',
    });
    assert.equal((await broker.exited).code, 69);
    assert.match(broker.stderr(), /NATS was not there.*FLEETWIRE_NATS_URL\.\n$/);
    assert.ok(broker.said('waiting for NATS'));
  });

  it('starts once NATS is there and the fabric is bootstrapped', async () => {
    await using nats = await startTestNats();
    await nats.kill();
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_BROKER: 'true',
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_NATS_SINGLE_TENANT: 'true',
    });
    await eventually(() => fixture.said('waiting for NATS'));
    await nats.restart();
    await eventually(() => fixture.said('waiting for the streams of the fabric'));
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true });
    await fixture.ready();
    fixture.child.kill('SIGTERM');
    assert.equal((await fixture.exited).code, 0);
  });

  it('lives on without NATS, and ends in good order without it too', async () => {
    await using nats = await startTestNats();
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true });
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_BROKER: 'true',
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_NATS_SINGLE_TENANT: 'true',
    });
    const address = await fixture.ready();
    await nats.kill();
    assert.equal(await checkHealth({ address }), true);
    fixture.child.kill('SIGTERM');
    assert.equal((await fixture.exited).code, 0, fixture.stderr());
  });

  it('starts on PostgreSQL, and stops while it waits for it', async () => {
    await using postgres = await startTestPostgres();
    await using fixture = startFixture({
      FLEETWIRE_FIXTURE_STORE: 'true',
      FLEETWIRE_DATABASE_URL: postgres.url,
    });
    await fixture.ready();
    fixture.child.kill('SIGTERM');
    assert.equal((await fixture.exited).code, 0);
    await using waiting = startFixture({
      FLEETWIRE_FIXTURE_STORE: 'true',
      FLEETWIRE_DATABASE_URL: `postgres://u:p@127.0.0.1:${await freePort()}/x`,
    });
    await eventually(() => waiting.said('waiting for PostgreSQL'));
    waiting.child.kill('SIGTERM');
    assert.equal((await waiting.exited).code, 0);
  });
});
