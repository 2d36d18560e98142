// Goal: a command reaches only nodes of the org that it acts in; what is of another org is refused with both named.
// Method: folders of nodes that this process holds, with the files that nodes write, and contexts beside them.

import { strict as assert } from 'node:assert';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockFolder } from '@fleetwire/embedded';
import { FleetwireError } from '@fleetwire/kernel';
import { type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { actingOrg } from '../src/acting-org.ts';
import { saveContext } from '../src/context.ts';
import { nodeFolder } from '../src/local-nodes.ts';
import { checkNodeOrg, NodesOfOrg } from '../src/nodes-of-org.ts';

const ENDPOINTS = { org: '127.0.0.1:1', registry: 'h:2', router: 'h:3', delivery: 'h:4' };

describe('nodes of the org in use', () => {
  let folder: TempFolder;
  let locks: { release(): Promise<void> }[];
  beforeEach(async () => {
    folder = tempFolder('nodes');
    locks = [];
    for (const [name, org] of [
      ['local', 'o_1'],
      ['acme', 'o_2'],
      ['bob', 'o_2'],
      ['empty', ''],
      ['third', 'o_3'],
    ] as const)
      await saveContext(folder.path, { version: 1, name, org, endpoints: ENDPOINTS, api_key_file: '/k' });
  });
  afterEach(async () => {
    await Promise.all(locks.map((lock) => lock.release()));
    await folder[Symbol.asyncDispose]();
  });

  async function runs(name: string, org: string): Promise<void> {
    const dir = nodeFolder(folder.path, name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    locks.push(await lockFolder(dir));
    writeFileSync(join(dir, 'node.json'), JSON.stringify({ address: 'h:1', pid: process.pid }));
    writeFileSync(join(dir, 'admin-token'), 'fwn_x\n');
    if (org !== '') writeFileSync(join(dir, 'identity.json'), JSON.stringify({ org }));
  }
  const acting = (contextName: string, apiKey?: string, isMeant = true) =>
    actingOrg({ configFolder: folder.path, contextName, isMeant, apiKey });
  const nodes = async (contextName: string) => new NodesOfOrg(folder.path, await acting(contextName));
  const refusal = (reason: string, ...says: RegExp[]) => {
    return (error: unknown) => {
      assert.ok(error instanceof FleetwireError && error.reason === reason, String(error));
      assert.equal(error.kind, 'failed_precondition');
      for (const each of says) assert.match(`${error.message} ${error.help}`, each);
      return true;
    };
  };

  it('are the only ones that are found, by name and without', async () => {
    await runs('hub', 'o_1');
    await runs('laptop', 'o_1');
    await runs('north', 'o_2');
    const acme = await nodes('acme');
    assert.deepEqual(
      (await acme.running()).map((n) => n.name),
      ['north'],
    );
    assert.equal((await acme.find(undefined)).name, 'north');
    assert.equal((await acme.find('north')).name, 'north');
    await assert.rejects(
      acme.find('laptop'),
      refusal('OTHER_ORG', /o_1 \(context local\)/, /o_2 \(context acme, bob\)/, /--context local/),
    );
    const local = await nodes('local');
    assert.equal((await local.find(undefined)).name, 'hub');
    await assert.rejects(local.find('north'), refusal('OTHER_ORG', /--context acme/));
  });
  it('say so when there are none, or it has no operator here', async () => {
    await runs('hub', 'o_1');
    const acme = await nodes('acme');
    await assert.rejects(acme.running(), refusal('OTHER_ORG', /hub is of org o_1/, /node start/));
    await assert.rejects(acme.find(undefined), refusal('OTHER_ORG'));
    await assert.rejects(acme.hub(), refusal('NO_OPERATOR_MAILBOX', /o_2/, /--from AGENT/, /org use local/));
    assert.equal((await (await nodes('local')).hub()).name, 'hub');
  });
  it('are away when they have joined it and do not run', async () => {
    for (const [name, org] of [
      ['hub', 'o_1'],
      ['laptop', 'o_1'],
      ['north', 'o_2'],
      ['new', ''],
    ] as const)
      await runs(name, org);
    for (const lock of locks.splice(1)) await lock.release();
    assert.deepEqual(await (await nodes('local')).away(), ['laptop']);
    assert.deepEqual(await (await nodes('empty')).away(), ['laptop', 'north']);
  });
  it('are not those whose folder does not say whose they are', async () => {
    await runs('hub', '');
    const local = await nodes('local');
    await assert.rejects(local.find('hub'), refusal('OTHER_ORG', /no org yet/));
    await assert.rejects(local.hub(), refusal('NO_OPERATOR_MAILBOX'));
  });
  it('are all of them where no org is known', async () => {
    await runs('hub', 'o_1');
    await runs('north', 'o_2');
    const any = await nodes('empty');
    assert.equal((await any.running()).length, 2);
    assert.deepEqual([(await any.find('north')).name, (await any.hub()).name], ['north', 'hub']);
  });
  it('keep their folder: one of another org is not started in its place', async () => {
    await runs('north', 'o_2');
    await runs('new', '');
    const north = nodeFolder(folder.path, 'north');
    await assert.rejects(
      checkNodeOrg(north, 'north', await acting('local')),
      refusal('NODE_OF_OTHER_ORG', /o_2/, /o_1/, /another name/),
    );
    await checkNodeOrg(north, 'north', await acting('bob'));
    await checkNodeOrg(north, 'north', undefined);
    await checkNodeOrg(nodeFolder(folder.path, 'new'), 'new', await acting('local'));
  });
  it('are of the org of the context, and of none only where there is no context', async () => {
    assert.equal((await acting('acme'))?.id, 'o_2');
    // Nobody answers there: the context is believed.
    assert.equal((await acting('acme', 'fwk_x'))?.id, 'o_2');
    assert.equal(await acting('empty'), undefined);
    await assert.rejects(acting('gone'), refusal('CONTEXT_MISSING', /There is: acme, bob/));
    rmSync(join(folder.path, 'contexts'), { recursive: true });
    assert.equal(await acting('local', undefined, false), undefined);
    await assert.rejects(acting('acme'), refusal('CONTEXT_MISSING'));
  });
});
