// Goal: one message's trace shows every hop with one trace id, across processes.
// Method: CLI, node A, router, delivery and node B as processes of their own; send by the CLI, trace by the CLI.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { childEnvironment } from '@fleetwire/config';
import { connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

describe('trace across processes', () => {
  let fabric: SeparateFabric;
  let env: Record<string, string>;

  const fleetwire = async (...args: string[]) => {
    const { stdout } = await run(process.execPath, [CLI, ...args, '--json'], { env: childEnvironment(env) });
    return JSON.parse(stdout);
  };

  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['near', 'far'] });
    const home = join(fabric.folder, 'home');
    await mkdir(join(home, 'config', 'contexts'), { recursive: true });
    const context = {
      version: 1,
      name: 'local',
      org: '',
      endpoints: fabric.addresses,
      api_key_file: join(fabric.folder, 'keys', 'first-api-key'),
    };
    await writeFile(join(home, 'config', 'contexts', 'local.json'), JSON.stringify(context));
    env = { FLEETWIRE_HOME: home };
    // The command line finds the nodes of this machine where it would have put them itself.
    await mkdir(join(home, 'data'));
    await symlink(join(fabric.folder, 'nodes'), join(home, 'data', 'nodes'));
  });
  after(() => fabric[Symbol.asyncDispose]());

  it('shows accept, route, hold, deliver and confirm under one trace id', async () => {
    const [near, far] = [fabric.nodes['near']!, fabric.nodes['far']!];
    await using alice = await connect({ address: near.address, token: near.adminToken(), name: 'alice' });
    await using bob = await connect({ address: far.address, token: far.adminToken(), name: 'bob' });
    const taken = (async () => {
      for await (const message of bob.messages()) {
        message.ack();
        return message;
      }
      return undefined;
    })();
    const sent = await fleetwire('send', 'bob', 'hello', '--from', 'alice', '--wait', '20');
    assert.equal(sent.stage, 'confirmed');
    assert.equal((await taken)?.id, sent.id);
    const trace = await eventually(async () => {
      const found = await fleetwire('trace', sent.id);
      return found.hops.length >= 5 ? found : undefined;
    });
    const stages = trace.hops.map((hop: { stage: string }) => hop.stage);
    assert.deepEqual(stages, ['accepted', 'routed', 'held', 'delivered', 'confirmed']);
    const services = trace.hops.map((hop: { service: string }) => hop.service);
    assert.deepEqual(services, ['node', 'router', 'node', 'node', 'node']);
    assert.equal(trace.trace_id, sent.trace_id);
    assert.match(trace.trace_id, /^[0-9a-f]{32}$/);
    const instances = trace.hops.map((hop: { instance: string }) => hop.instance);
    assert.notEqual(instances[0], instances[2], 'accepted by one node, held by another');
    assert.ok(
      trace.hops.every((hop: { since_previous_ms: number }) => hop.since_previous_ms >= 0),
      'time runs forward',
    );
    await alice.close();
  });
});
