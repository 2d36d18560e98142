/** Goal: work that is in no hurry goes with the next transaction, soon enough by itself, and at the end. */

import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Turns } from '../src/store/turns.ts';

describe('turns', () => {
  let db: DatabaseSync;
  let turns: Turns;
  let commits: number;
  let broken: string[];
  beforeEach(() => {
    db = new DatabaseSync(':memory:');
    db.exec('create table done (what text primary key)');
    commits = 0;
    broken = [];
    turns = new Turns(db, {
      beforeCommit: () => {
        commits++;
      },
      rolledBack: (error) => broken.push(error.reason),
    });
  });
  afterEach(() => {
    if (db.isOpen) db.close();
  });
  const note = (what: string) => () => void db.prepare('insert into done values (?)').run(what);
  const done = () =>
    db
      .prepare('select what from done order by rowid')
      .all()
      .map(({ what }) => what);

  it('does later work with the next transaction, after its own', async () => {
    turns.addLater(note('later'));
    await turns.run(note('now'));
    assert.deepEqual([done(), commits], [['now', 'later'], 1]);
  });

  it('does it by itself when nothing else comes', async () => {
    turns.addLater(note('one'));
    turns.addLater(note('two'));
    await eventually(() => done().length === 2);
    assert.equal(commits, 1);
  });

  it('does it before it closes, and takes none afterwards', () => {
    turns.addLater(note('last'));
    turns.close();
    turns.addLater(note('never'));
    assert.deepEqual([done(), commits], [['last'], 1]);
  });

  it('undoes all of a transaction when a part of it fails, and says so', async () => {
    turns.addLater(note('same'));
    await assert.rejects(turns.run(note('same')), { reason: 'NODE_STORE_FAILED' });
    assert.deepEqual([done(), broken], [[], ['NODE_STORE_FAILED']]);
  });

  it('outlives a database that was closed first', async () => {
    turns.addLater(note('lost'));
    db.close();
    await eventually(() => broken.length === 1);
  });
});
