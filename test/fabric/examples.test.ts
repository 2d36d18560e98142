// Goal: the examples of the SDK do what they say, run as anybody would run them.
// Method: each as a process of its own against a whole fabric, with what it prints and how it ends.

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { createRpcClient } from '@fleetwire/rpc';
import { connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type NodePart, type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const EXAMPLES = fileURLToPath(new URL('../../libs/sdk/examples/', import.meta.url));

interface Run {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
}

describe('examples of the sdk', function () {
  this.timeout(120_000);
  let fabric: SeparateFabric;
  let hub: NodePart;
  let home: string;
  const running: Run[] = [];

  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['hub'] });
    hub = fabric.nodes['hub']!;
    home = join(fabric.folder, 'home');
    await mkdir(join(home, 'data'), { recursive: true });
    await symlink(join(fabric.folder, 'nodes'), join(home, 'data', 'nodes'));
  });
  after(() => fabric[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const { child, ended } of running.splice(0)) {
      child.kill('SIGKILL');
      await ended;
    }
  });

  function example(name: string, ...args: string[]): Run {
    const env = childEnvironment({ FLEETWIRE_HOME: home });
    const child = spawn(process.execPath, [join(EXAMPLES, `${name}.ts`), ...args], { env });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const run = { child, out: () => out, err: () => err, ended };
    running.push(run);
    return run;
  }
  const says = (run: Run, what: RegExp) =>
    eventually(() => what.test(run.out()), { timeoutMs: 30_000 }).catch((error) => {
      throw new Error(`${what} was not said: ${run.out()} ${run.err()}`, { cause: error });
    });
  async function stop(name: string): Promise<void> {
    const door = createRpcClient(NodeServiceDefinition, {
      address: hub.address,
      token: () => hub.adminToken(),
    });
    try {
      await door.stopAgent({ name });
    } finally {
      door.close();
    }
  }

  it('echo.ts answers until its agent is stopped, which is a clean end; ask.ts asks it', async () => {
    const echo = example('echo');
    await says(echo, /echo on hub/);
    const ask = example('ask');
    assert.equal(await ask.ended, 0);
    assert.equal(ask.out(), 'you said: are you there?\n');
    await says(echo, /asker: are you there\?/);
    await stop('echo');
    assert.equal(await echo.ended, 0);
    assert.equal(echo.err(), '');
  });

  it('ask.ts says why there is no answer, and takes its question back', async () => {
    const nobody = example('ask', 'nobody-there');
    assert.equal(await nobody.ended, 1);
    assert.match(nobody.err(), /^UNKNOWN_AGENT: /);
    const token = hub.adminToken();
    await using slow = await connect({ address: hub.address, token, name: 'slow' });
    const asked = example('ask', 'slow', 'take your time');
    for await (const { signal } of slow.messages()) {
      asked.child.kill('SIGINT');
      await eventually(() => signal.aborted, { timeoutMs: 20_000 });
      break;
    }
    assert.equal(await asked.ended, 1);
    assert.match(asked.err(), /^ASK_CANCELLED: /);
  });

  it('fan-out.ts collects the answers of a channel', async () => {
    const { addresses } = fabric;
    const token = await fabric.token();
    const registry = createRpcClient(RegistryServiceDefinition, {
      address: addresses.registry,
      token: () => token,
    });
    const address = hub.address;
    await using ann = await connect({ address, token: hub.adminToken(), name: 'ann' });
    await using ben = await connect({ address, token: hub.adminToken(), name: 'ben' });
    for (const one of [ann, ben])
      void (async () => {
        for await (const message of one.messages()) await one.reply(message, `${one.name} is`);
      })().catch(() => undefined);
    const { channel } = await registry.createChannel({ name: 'ops' });
    await registry.joinChannel({ channel: channel!.id, agents: ['ann', 'ben'] });
    registry.close();
    const run = await eventually(
      async () => {
        const tried = example('fan-out', '#ops');
        assert.equal(await tried.ended, 0, tried.err());
        return tried.out().split('\n').length === 3 && tried;
      },
      { timeoutMs: 60_000 },
    );
    assert.deepEqual(run.out().trim().split('\n').sort(), ['ann: ann is', 'ben: ben is']);
  });

  it('reviewer.ts takes up again what a killed run left, and drops what nobody waits for', async () => {
    const first = example('reviewer');
    await says(first, /ready/);
    await using client = await connect({ address: hub.address, token: hub.adminToken(), name: 'client' });
    const answer = client.ask('?review', 'one', { timeoutMs: 60_000 });
    await says(first, /begins one/);
    first.child.kill('SIGKILL');
    await first.ended;
    const second = example('reviewer');
    await says(second, /begins one/);
    assert.equal((await answer).text, 'reviewed one');
    const stopping = new AbortController();
    const dropped = client.ask('reviewer', 'two', { timeoutMs: 60_000, signal: stopping.signal });
    await says(second, /begins two/);
    stopping.abort();
    await assert.rejects(dropped, { reason: 'ASK_CANCELLED' });
    await says(second, /drops two: ASK_CANCELLED/);
  });

  it('receipts.ts says what became of what it has sent', async () => {
    const echo = example('echo');
    await says(echo, /echo on hub/);
    const run = example('receipts', 'echo', 'nobody-there');
    assert.equal(await run.ended, 0, run.err());
    assert.deepEqual(run.out().trim().split('\n').sort(), ['echo: has it', 'nobody-there: UNKNOWN_AGENT']);
  });
});
