// Goal: a child's log stays bounded and its end can be read.
// Method: write files of known size and cut them.

import { strict as assert } from 'node:assert';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { boundLog, logTail } from '../src/child-log.ts';

describe('child log', () => {
  it('moves its end aside when it is too long', async () => {
    await using folder = tempFolder();
    const file = join(folder.path, 'server.log');
    writeFileSync(file, `${'x'.repeat(2000)}end`);
    boundLog(file, 2003);
    assert.equal(statSync(file).size, 2003);
    boundLog(file, 2002);
    assert.equal(statSync(file).size, 0);
    assert.match(readFileSync(`${file}.1`, 'utf8'), /end$/);
  });

  it('gives what came after an offset, at most 4 KiB, and nothing for no file', async () => {
    await using folder = tempFolder();
    const file = join(folder.path, 'server.log');
    assert.equal(logTail(file), '');
    writeFileSync(file, 'before\n');
    appendFileSync(file, 'after\n');
    assert.equal(logTail(file, 7), 'after');
    appendFileSync(file, 'y'.repeat(9000));
    assert.equal(logTail(file, 7).length, 4096);
  });
});
