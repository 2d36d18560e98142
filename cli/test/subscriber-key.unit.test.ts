// Goal: a machine stays the same subscriber; its key is made where there is none, and never replaced because it cannot be read.
// Method: real files and what can be in their place.

import { strict as assert } from 'node:assert';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { renewSubscriberKey, subscriberKey } from '../src/subscriber-key.ts';

describe('the key of a subscriber', () => {
  let home: TempFolder;
  let folder: string;
  let file: string;
  beforeEach(() => {
    home = tempFolder('subscriber');
    folder = join(home.path, 'config', 'subscriptions');
    file = join(folder, 'default.receipts.tail.nk');
  });
  afterEach(() => home[Symbol.asyncDispose]());

  it('is made once, for its owner only, and kept', async () => {
    const key = await subscriberKey(file);
    assert.deepEqual(await subscriberKey(file), key);
    assert.deepEqual([statSync(file).mode & 0o777, statSync(folder).mode & 0o777], [0o600, 0o700]);
    const renewed = await renewSubscriberKey(file);
    assert.notEqual(renewed.publicKey, key.publicKey);
    assert.deepEqual(await subscriberKey(file), renewed);
    assert.deepEqual(readdirSync(folder), ['default.receipts.tail.nk']);
  });

  it('is left alone, and told of, where it is there and cannot be read', async () => {
    const { seed } = await subscriberKey(file);
    for (const damaged of ['', 'SUA', seed.slice(0, -1), `${seed}${seed}`, `X${seed.slice(1)}`]) {
      writeFileSync(file, damaged);
      assert.equal(await reasonOf(subscriberKey(file)), 'KEY_FILE_DAMAGED', damaged);
      assert.equal(readFileSync(file, 'utf8'), damaged);
    }
    writeFileSync(file, 'x'.repeat(2000));
    assert.equal(await reasonOf(subscriberKey(file)), 'FILE_TOO_LARGE');
    const folderInstead = join(folder, 'folder.nk');
    mkdirSync(folderInstead);
    assert.equal(await reasonOf(subscriberKey(folderInstead)), 'FILE_UNREADABLE');
    const loop = join(folder, 'loop.nk');
    symlinkSync(loop, loop);
    assert.equal(await reasonOf(subscriberKey(loop)), 'FILE_UNREADABLE');
    assert.equal(await reasonOf(subscriberKey(join(file, 'below.nk'))), 'FILE_UNREADABLE');
  });

  it('is not made where there is no room for it', async () => {
    mkdirSync(join(home.path, 'config'));
    writeFileSync(folder, 'a file');
    assert.equal(await reasonOf(renewSubscriberKey(file)), 'FILE_UNWRITABLE');
  });
});
