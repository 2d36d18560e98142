// Goal: a machine without a fabric is told what is so there: its nodes work with a hub elsewhere, and joining names what it
// lacks; folders of joins that failed are no nodes.
// Method: the command line against services in this process, in a home whose context was taken away.

import { strict as assert } from 'node:assert';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { saveContext } from '../src/context.ts';
import { type Ended, type StandIn, standIn } from './stand-in.ts';

describe('a machine whose nodes work with a hub elsewhere', function () {
  this.timeout(60_000);
  let w: StandIn;
  let home: string;
  beforeEach(async () => {
    w = await standIn();
    home = w.env['FLEETWIRE_HOME']!;
    rmSync(join(home, 'config', 'contexts'), { recursive: true });
  });
  afterEach(() => w[Symbol.asyncDispose]());
  const neverJoined = (name: string) => {
    const folder = join(home, 'data', 'nodes', name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, 'identity.json'), JSON.stringify({ node: '', org: '', name }));
  };

  it('is well when they are, and what never joined is not among them', async () => {
    neverJoined('attic');
    w.answers.node['nodeStatus'] = () => ({ node: 'n_1', name: 'laptop', hub: 'active' });
    const { code, out } = await w.go('status').ended;
    assert.equal(code, 0, out);
    assert.match(out, /^this machine has no fabric of its own; its nodes work with a hub elsewhere\n/);
    assert.doesNotMatch(out, /attic|fleetwire up/);
    assert.doesNotMatch((await w.run('node', 'status')).out, /attic/);
    const { json } = await w.run('node', 'list', '--json');
    const { reason, help } = json['error'] as { reason: string; help: string };
    assert.equal(reason, 'CONTEXT_MISSING');
    assert.match(help, /fleetwire invite accept LINK/);
    w.answers.node['nodeStatus'] = () => ({ node: 'n_1', name: 'laptop', hub: 'refused' });
    assert.equal((await w.go('status').ended).code, 69);
  });

  it('is told what fits: its nodes, never a fabric of its own', async () => {
    const told = ({ code, out, err }: Ended) => {
      assert.doesNotMatch(out + err, /fleetwire up/);
      return { code, said: out + err };
    };
    // Servers of a fabric are of no use there.
    w.env['FLEETWIRE_NATS_SERVER'] = '/nowhere/nats-server';
    w.answers.node['nodeStatus'] = () => ({ node: 'n_1', name: 'laptop', hub: 'active' });
    const well = told(await w.go('doctor').ended);
    assert.equal(well.code, 0, well.said);
    assert.match(well.said, /fleetwire invite accept LINK/);
    const operator = told(await w.run('send', 'bob', 'hi'));
    assert.match(operator.said, /hub elsewhere \(FABRIC_DOWN\)\n {2}--from NAME .* laptop/);
    rmSync(join(home, 'data', 'nodes', 'laptop', 'node.json'));
    const start = /FABRIC_DOWN\)\n {2}Start a node with: fleetwire node start laptop --detach/;
    assert.match(told(await w.run('agent', 'run', 'bob')).said, start);
    assert.match(told(await w.go('status').ended).said, /node start laptop/);
  });

  it('asks nobody to start a fabric that is elsewhere, by its context', async () => {
    const at = '127.0.0.1:1';
    const endpoints = { org: at, registry: at, router: at, delivery: at };
    const context = {
      version: 1,
      name: 'local',
      org: 'o_1',
      endpoints,
      api_key_file: join(home, 'key'),
    } as const;
    await saveContext(join(home, 'config'), context);
    for (const { out, err } of [await w.go('doctor').ended, await w.run('who')]) {
      assert.match(out + err, /127\.0\.0\.1:1/);
      assert.doesNotMatch(out + err, /fleetwire up/);
    }
  });

  it('that has nothing yet is told both ways to begin', async () => {
    w.env['FLEETWIRE_HOME'] = join(home, 'other');
    const commands = ['doctor', 'status', 'who', 'send bob hi', 'agent run bob'];
    const ended = await Promise.all(commands.map((each) => w.go(...each.split(' ')).ended));
    for (const { out, err } of ended)
      assert.match(out + err, /fleetwire up; or join .*fleetwire cluster join/);
  });

  it('is told that the token is missing, and who does not answer', async () => {
    const bare = await w.run('cluster', 'join', '127.0.0.1:1', 'desktop', '--json');
    const refused = bare.json['error'] as { reason: string; help: string };
    assert.equal(refused.reason, 'NODE_NOT_JOINED');
    assert.match(refused.help, /--token TOKEN/);
    rmSync(join(home, 'data', 'nodes', 'laptop', 'identity.json'));
    const args = ['cluster', 'join', '127.0.0.1:1', 'desktop', '--token', 'fwj_x'];
    const { err } = await w.go(...args).ended;
    assert.match(
      err,
      /^joining at the hub 127\.0\.0\.1:1\n.*does not answer at 127\.0\.0\.1:1 \(PEER_UNREACHABLE\)/s,
    );
    const { json } = await w.go(...args, '--json', '--detach').ended;
    const away = json['error'] as { reason: string; help: string };
    assert.equal(away.reason, 'PEER_UNREACHABLE');
    assert.match(away.help, /127\.0\.0\.1:1 is its address/);
  });

  it('joins under another name with the key on which a refused name has spent the token', async () => {
    const keys: string[] = [];
    const refuse = (reason: string) => {
      w.answers.registry['join'] = ({ publicKey }: { publicKey: string }) => {
        keys.push(publicKey);
        throw new FleetwireError('already_exists', reason, 'no');
      };
    };
    const folders = () => readdirSync(join(home, 'data', 'nodes')).sort();
    const reasonOf = async (name: string, token: string) => {
      const { json } = await w.go('cluster', 'join', w.hub, name, '--token', token, '--json', '--detach')
        .ended;
      return (json['error'] as { reason: string }).reason;
    };
    refuse('NODE_NAME_TAKEN');
    assert.equal(await reasonOf('desktop', 'fwj_1'), 'NODE_NAME_TAKEN');
    assert.equal(await reasonOf('desktop-2', 'fwj_1'), 'NODE_NAME_TAKEN');
    assert.equal(keys[0], keys[1]);
    assert.deepEqual(folders(), ['desktop-2', 'laptop']);
    // Another token has nothing to do with that key, and what is worth nothing leaves nothing.
    refuse('JOIN_TOKEN_EXPIRED');
    assert.equal(await reasonOf('attic', 'fwj_2'), 'JOIN_TOKEN_EXPIRED');
    assert.notEqual(keys[2], keys[0]);
    assert.deepEqual(folders(), ['desktop-2', 'laptop']);
    // The key of a refused name outlives a hub that is confused for a while.
    assert.equal(await reasonOf('desktop-3', 'fwj_1'), 'JOIN_TOKEN_EXPIRED');
    assert.deepEqual([keys[3], folders()], [keys[0], ['desktop-3', 'laptop']]);
  });
});
