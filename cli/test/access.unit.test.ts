// Goal: keys that this machine is given are kept where only their owner reads them, and never lost to another one; the
// context that commands use is the one named, else the one chosen.
// Method: real files in a temporary folder.

import { strict as assert } from 'node:assert';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { chooseContext, chosenContext } from '../src/chosen-context.ts';
import { checkHost } from '../src/commands/fabric.ts';
import { chooseFirst, endpointsOf } from '../src/commands/invite-accept.ts';
import { isLoopback, joinCommand } from '../src/commands/node-token.ts';
import { repository } from '../src/commands/workspace.ts';
import { contextNames, loadContext } from '../src/context.ts';
import { checkFreeContext, saveAccess } from '../src/saved-access.ts';

const ENDPOINTS = { org: 'h:1', registry: 'h:2', router: 'h:3', delivery: 'h:4' };

const reason = (expected: string) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === expected;

describe('access to an org', () => {
  let folder: TempFolder;
  beforeEach(() => {
    folder = tempFolder('access');
  });
  afterEach(() => folder[Symbol.asyncDispose]());
  const save = (name: string, apiKey: string, endpoints: typeof ENDPOINTS | undefined = ENDPOINTS) =>
    saveAccess(folder.path, name, { org: 'o_1', apiKey, endpoints });

  it('is kept as a key that nobody else reads, and a context that names it', async () => {
    const { context, keyFile } = await save('acme', 'fwk_1');
    const saved = await loadContext(folder.path, context!);
    assert.deepEqual([saved.org, saved.endpoints, saved.api_key_file], ['o_1', ENDPOINTS, keyFile]);
    assert.equal(readFileSync(keyFile, 'utf8'), 'fwk_1\n');
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  });
  it('never takes the place of another, whoever comes at once', async () => {
    const all = await Promise.all(['fwk_1', 'fwk_2', 'fwk_3'].map((key) => save('acme', key)));
    const names = all.map(({ context }) => context!).sort();
    assert.deepEqual(names, ['acme', 'acme-2', 'acme-3']);
    const keys = all.map(({ keyFile }) => readFileSync(keyFile, 'utf8').trim());
    assert.deepEqual(keys, ['fwk_1', 'fwk_2', 'fwk_3']);
    const long = 'x'.repeat(50);
    await save(long, 'fwk_4');
    assert.equal((await save(long, 'fwk_5')).context, `${'x'.repeat(48)}-2`);
  });
  it('keeps the key alone when nobody knows where the fabric is', async () => {
    const saved = await saveAccess(folder.path, 'acme', {
      org: 'o_1',
      apiKey: 'fwk_1',
      endpoints: undefined,
    });
    assert.equal(saved.context, undefined);
    assert.deepEqual(await contextNames(folder.path), []);
    assert.notEqual((await save('acme', 'fwk_2')).keyFile, saved.keyFile);
  });
  it('refuses a name that is taken or leaves the folder, before there is a key', async () => {
    await save('acme', 'fwk_1');
    await assert.rejects(checkFreeContext(folder.path, 'acme'), reason('CONTEXT_EXISTS'));
    await assert.rejects(checkFreeContext(folder.path, '../x'), reason('INVALID_NAME'));
    await assert.rejects(save('../x', 'fwk_1'), reason('INVALID_NAME'));
    await checkFreeContext(folder.path, 'other');
  });
  it('is chosen for the commands that follow', async () => {
    assert.equal(chosenContext(folder.path), undefined);
    await chooseContext(folder.path, 'acme');
    await chooseContext(folder.path, 'other');
    assert.equal(chosenContext(folder.path), 'other');
    await assert.rejects(chooseContext(folder.path, 'a/b'), reason('INVALID_NAME'));
    writeFileSync(join(folder.path, 'current-context'), '\n');
    assert.equal(chosenContext(folder.path), undefined);
  });
  it('is chosen at once where there is nothing else to act in', async () => {
    await save('acme', 'fwk_1');
    const names = (error: FleetwireError) => /There is: acme.*org use/.test(error.help ?? '');
    await assert.rejects(loadContext(folder.path, 'local'), names);
    assert.ok(await chooseFirst(folder.path, 'acme'));
    assert.equal(chosenContext(folder.path), 'acme');
    assert.ok(!(await chooseFirst(folder.path, 'other')));
    assert.equal(chosenContext(folder.path), 'acme');
  });
  it('is left alone on a machine with a fabric of its own', async () => {
    await save('local', 'fwk_1');
    await save('acme', 'fwk_2');
    assert.ok(!(await chooseFirst(folder.path, 'acme')));
    assert.equal(chosenContext(folder.path), undefined);
  });
  it('suggests a context that is nearly the one named', async () => {
    await save('acme', 'fwk_1');
    const near = (error: FleetwireError) => /mean acme/.test(error.help ?? '');
    await assert.rejects(loadContext(folder.path, 'acne'), near);
    const others = (error: FleetwireError) => /There is: acme/.test(error.help ?? '');
    await assert.rejects(loadContext(folder.path, 'zebra'), others);
  });
});

describe('endpoints of an accepted invite', () => {
  const answer = (more: Partial<typeof ENDPOINTS>) => ({
    endpoints: { org: '', registry: '', router: '', delivery: '', ...more },
  });
  const present = { endpoints: ENDPOINTS };

  it('are those of the answer when it has them all', () => {
    const own = { org: 'g:1', registry: 'g:2', router: 'g:3', delivery: 'g:4' };
    assert.deepEqual(endpointsOf({ endpoints: own }, present), own);
  });
  it('are the present ones when the answer leaves some out, but only of the same fabric', () => {
    assert.deepEqual(endpointsOf(answer({}), present), ENDPOINTS);
    assert.deepEqual(endpointsOf(answer({ org: 'h:1' }), present), ENDPOINTS);
    assert.equal(endpointsOf(answer({ org: 'g:1' }), present), undefined);
    assert.equal(endpointsOf(answer({ org: 'h:1' }), undefined), undefined);
  });
});

describe('small things of the commands', () => {
  it('read a repository with its branch', () => {
    assert.deepEqual(repository('https://g/a.git#main'), {
      id: '',
      url: 'https://g/a.git',
      defaultBranch: 'main',
    });
    assert.deepEqual(repository('https://g/a.git'), { id: '', url: 'https://g/a.git', defaultBranch: '' });
  });
  it('tell an address from all of them', () => {
    for (const host of ['0.0.0.0', '0', '::', '[::]', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0', '*'])
      assert.throws(() => checkHost(host), reason('INVALID_CONFIG'), host);
    for (const host of ['127.0.0.1', '10.0.0.1', '::1', '[fd00::1]', 'localhost']) checkHost(host);
  });
  it('say how another machine joins, and when it cannot', () => {
    assert.equal(
      joinCommand('10.0.0.5:7402', 'fwj_x'),
      'FLEETWIRE_HUB=10.0.0.5:7402 FLEETWIRE_JOIN_TOKEN=fwj_x npx fleetwire node start --detach',
    );
    for (const address of ['127.0.0.1:1', 'localhost:1', '[::1]:1', 'unix:/x'])
      assert.ok(isLoopback(address), address);
    for (const address of ['10.0.0.5:1', 'hub.example.org:1', '[fd00::1]:1'])
      assert.ok(!isLoopback(address), address);
  });
});
