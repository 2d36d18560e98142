/** Goal: the write-ahead log is flushed while there are commits, and neither a missing file nor its end does harm. */

import assert from 'node:assert/strict';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { openDatabase } from '../src/store/database.ts';
import { LogFlusher } from '../src/store/log-flusher.ts';

describe('log flusher', () => {
  it('looks at the number of commits for as long as it runs', async () => {
    await using folder = tempFolder('flusher');
    const db = openDatabase(folder.path, 'normal');
    let asked = 0;
    const flusher = new LogFlusher(folder.path, () => ++asked);
    flusher.start();
    await eventually(() => asked >= 2);
    await flusher.stop();
    const then = asked;
    db.exec("insert into meta values ('k', 'v')");
    db.close();
    assert.equal(asked, then);
    const again = openDatabase(folder.path, 'normal');
    assert.equal(again.prepare('select value from meta').get()?.['value'], 'v');
    again.close();
  });

  it('does not mind that there is no log', async () => {
    await using folder = tempFolder('flusher');
    const flusher = new LogFlusher(folder.path, () => 1);
    await flusher.flush();
    await flusher.stop();
  });

  it('has checkpoints every 32 MiB, whatever the size of the pages', async () => {
    await using folder = tempFolder('flusher');
    const db = openDatabase(folder.path, 'normal');
    assert.equal(db.prepare('PRAGMA page_size').get()?.['page_size'], 4096);
    assert.equal(db.prepare('PRAGMA wal_autocheckpoint').get()?.['wal_autocheckpoint'], 8192);
    db.close();
  });
});
