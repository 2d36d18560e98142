// Goal: a context is read back as it was written, readable by its owner only; what is none is refused by name.
// Method: real files in a temporary folder.

import { strict as assert } from 'node:assert';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type Context, loadContext, saveContext } from '../src/context.ts';

const CONTEXT: Context = {
  version: 1,
  name: 'local',
  org: 'o_1',
  endpoints: { org: 'h:1', registry: 'h:2', router: 'h:3', delivery: 'h:4' },
  api_key_file: '/keys/first-api-key',
};

const reason = (expected: string) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === expected && error.help !== undefined;

describe('contexts', () => {
  let folder: TempFolder;
  beforeEach(() => {
    folder = tempFolder('context');
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  it('reads what was saved, which nobody else can', async () => {
    await saveContext(folder.path, CONTEXT);
    await saveContext(folder.path, { ...CONTEXT, org: 'o_2' });
    assert.deepEqual(await loadContext(folder.path, 'local'), { ...CONTEXT, org: 'o_2' });
    assert.equal(statSync(join(folder.path, 'contexts', 'local.json')).mode & 0o077, 0);
  });
  it('tells missing from unreadable', async () => {
    await assert.rejects(loadContext(folder.path, 'other'), reason('CONTEXT_MISSING'));
    mkdirSync(join(folder.path, 'contexts'));
    const texts = [
      '',
      '{',
      '[]',
      'null',
      JSON.stringify({ ...CONTEXT, version: 2 }),
      JSON.stringify({ ...CONTEXT, endpoints: { registry: 'h:2' } }),
    ];
    for (const text of texts) {
      writeFileSync(join(folder.path, 'contexts', 'local.json'), text);
      await assert.rejects(loadContext(folder.path, 'local'), reason('CONTEXT_UNREADABLE'), text);
    }
  });
  it('takes no name that leaves its folder', async () => {
    for (const name of ['../x', 'a/b', '', '.'])
      await assert.rejects(loadContext(folder.path, name), reason('INVALID_NAME'));
  });
});
