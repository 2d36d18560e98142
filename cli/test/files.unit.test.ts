// Goal: a file that people name is written whole or left as it was; devices and pipes stay what they are; reading is
// bounded; what goes wrong is told by name.
// Method: real files, pipes and devices.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { type TempFolder, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readText, writeWhole } from '../src/files.ts';

const MAX = 100;

const refusal = (reason: string, help: RegExp) => (error: unknown) =>
  error instanceof FleetwireError &&
  error.kind === 'invalid_argument' &&
  error.reason === reason &&
  help.test(error.help ?? '');

describe('files that people name', () => {
  let folder: TempFolder;
  let file: string;
  beforeEach(() => {
    folder = tempFolder('files');
    file = join(folder.path, 'audit.jsonl');
  });
  afterEach(() => folder[Symbol.asyncDispose]());
  const put = (target: string, ...texts: string[]) =>
    writeWhole(target, async (append) => {
      for (const text of texts) await append(text);
      return texts.length;
    });

  it('are written whole, for their owner alone, with nothing beside them', async () => {
    writeFileSync(file, 'before', { mode: 0o644 });
    assert.equal(await put(file, 'a', 'b'), 2);
    assert.equal(readFileSync(file, 'utf8'), 'ab');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder.path), ['audit.jsonl']);
  });
  it('stay as they were when the work fails, and its error comes through', async () => {
    writeFileSync(file, 'before');
    const failing = writeWhole(file, async (append) => {
      await append('half');
      throw new FleetwireError('unavailable', 'GONE', 'gone');
    });
    await assert.rejects(failing, (error: FleetwireError) => error.reason === 'GONE');
    assert.equal(readFileSync(file, 'utf8'), 'before');
    assert.deepEqual(readdirSync(folder.path), ['audit.jsonl']);
  });
  it('are not written by way of a part that somebody prepared', async () => {
    const other = join(folder.path, 'other');
    writeFileSync(other, 'mine');
    symlinkSync(other, `${file}.part`);
    await put(file, 'a');
    assert.equal(readFileSync(other, 'utf8'), 'mine');
  });
  it('are written where a link leads', async () => {
    const real = join(folder.path, 'real');
    writeFileSync(real, '');
    symlinkSync(real, file);
    await put(file, 'a');
    assert.ok(lstatSync(file).isSymbolicLink());
    assert.equal(readFileSync(real, 'utf8'), 'a');
  });
  it('stay pipes and devices', async () => {
    execFileSync('mkfifo', [file]);
    const [text] = await Promise.all([readFile(file, 'utf8'), put(file, 'a', 'b')]);
    assert.equal(text, 'ab');
    assert.ok(lstatSync(file).isFIFO());
    const link = join(folder.path, 'null');
    symlinkSync('/dev/null', link);
    await put(link, 'a');
    assert.ok(statSync('/dev/null').isCharacterDevice());
    await assert.rejects(put('/dev/full', 'a'), refusal('FILE_UNWRITABLE', /room/));
  });
  it('are refused by name when they cannot be written', async () => {
    writeFileSync(file, '');
    await assert.rejects(put(folder.path, 'a'), refusal('FILE_UNWRITABLE', /folder/));
    await assert.rejects(
      put(join(folder.path, 'none', 'x'), 'a'),
      refusal('FILE_UNWRITABLE', /make it first/),
    );
    await assert.rejects(put(join(file, 'x'), 'a'), refusal('FILE_UNWRITABLE', /another one/));
  });
  it('are read up to their bound and no further, and only where there is an end', async () => {
    writeFileSync(file, 'x'.repeat(MAX));
    assert.equal((await readText(file, MAX)).length, MAX);
    writeFileSync(file, 'x'.repeat(MAX + 1));
    await assert.rejects(readText(file, MAX), refusal('FILE_TOO_LARGE', /right file/));
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const [text] = await Promise.all([readText(pipe, MAX), put(pipe, 'a', 'b')]);
    assert.equal(text, 'ab');
    mkdirSync(join(folder.path, 'dir'));
    for (const other of ['/dev/zero', join(folder.path, 'dir'), join(folder.path, 'none')])
      await assert.rejects(readText(other, MAX), refusal('FILE_UNREADABLE', /is there/), other);
  });
});
