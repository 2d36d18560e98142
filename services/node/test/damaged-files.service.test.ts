/**
 * Goal: a damaged file of the node is named, with what to do, and one that is only a cache is done without.
 * Method: real nodes that are stopped, whose files are spoilt and that are started again; a database of an earlier schema.
 */

import assert from 'node:assert/strict';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { newMessageId } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { AgentTable } from '../src/store/agent-table.ts';
import { openDatabase } from '../src/store/database.ts';
import { InboxTable } from '../src/store/inbox-table.ts';
import { OutboxTable } from '../src/store/outbox-table.ts';
import { refusalOf } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

describe('damaged files', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = await new TestNode(hub, 'left').start();
    (await TestSession.open(node.client(), { name: 'bob' })).close();
    await node.active();
    await node.stop();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });
  const file = (name: string) => join(node.folder.path, name);

  it('starts without what the registry said last', async () => {
    for (const content of ['{"userJwt": "ey', '', 'null', '{"natsUrls":7}']) {
      writeFileSync(file('welcome.json'), content);
      await node.start();
      await node.active();
      await node.stop();
    }
  });

  it('names a damaged identity', async () => {
    for (const content of ['{"node": "n_', '', 'null', '{}', '[]']) {
      writeFileSync(file('identity.json'), content);
      const error = await refusalOf(() => node.start());
      assert.deepEqual([error.kind, error.reason], ['failed_precondition', 'NODE_FILE_DAMAGED']);
      assert.ok(error.message.includes(file('identity.json')) && error.help?.includes(file('identity.json')));
    }
  });

  it('names a database that is none, is damaged or is incomplete, and starts again without it', async () => {
    const spoil = [
      () => writeFileSync(file('node.db'), 'this is no database, '.repeat(1000)),
      () => truncateSync(file('node.db'), 8192 * 2 + 100),
      () => {
        rmSync(file('node.db'));
        const db = new DatabaseSync(file('node.db'));
        db.exec('CREATE TABLE other (a); PRAGMA user_version = 1');
        db.close();
      },
    ];
    for (const act of spoil) {
      act();
      const error = await refusalOf(() => node.start());
      assert.deepEqual([error.kind, error.reason], ['data_loss', 'NODE_STORE_DAMAGED']);
      assert.ok(error.message.includes(file('node.db')) && error.help?.includes(file('node.db')));
      for (const end of ['', '-wal', '-shm']) rmSync(file(`node.db${end}`), { force: true });
      await node.start();
      await node.stop();
    }
  });
});

/** Takes away what came with schemas 4 to 8; agents of before have their id only. */
const BEFORE_4 = `ALTER TABLE seen DROP COLUMN attempt;
  ALTER TABLE agents DROP COLUMN attempted_system; ALTER TABLE agents DROP COLUMN attempted_high;
  ALTER TABLE agents DROP COLUMN attempted_low; ALTER TABLE agents DROP COLUMN delivered_up_to;
  ALTER TABLE inbox DROP COLUMN level; ALTER TABLE inbox DROP COLUMN delivery;
  ALTER TABLE unproven DROP COLUMN delivery; DROP TABLE letters; DROP TABLE held_back; DROP TABLE moving; DROP TABLE directory;
  ALTER TABLE agents DROP COLUMN profile; ALTER TABLE agents DROP COLUMN local_id;`;

describe('database of an earlier version', () => {
  it('is brought to this one, and still knows what was sent and seen', async () => {
    await using folder = tempFolder('node');
    const [id, fresh] = [newMessageId(), newMessageId()];
    const now = openDatabase(folder.path, 'normal');
    now.exec(`${BEFORE_4} DROP INDEX seen_message; ALTER TABLE seen DROP COLUMN sender;
      CREATE UNIQUE INDEX seen_message ON seen (id, agent); ALTER TABLE sent DROP COLUMN digest;
      INSERT INTO seen (id, agent, at_us) VALUES ('${id}', 1, 1);
      INSERT INTO sent VALUES (1, '${id}', 1, 1, '', ''); PRAGMA user_version = 1`);
    now.close();
    const db = openDatabase(folder.path, 'normal');
    const inbox = new InboxTable(db);
    assert.equal(inbox.markSeen({ id: id, fromAgent: 'a_1', attempt: 0 }, 1, 2), undefined);
    assert.notEqual(inbox.markSeen({ id: id, fromAgent: 'a_1', attempt: 0 }, 2, 2), undefined);
    assert.notEqual(inbox.markSeen({ id: fresh, fromAgent: 'a_1', attempt: 0 }, 1, 2), undefined);
    assert.equal(inbox.markSeen({ id: fresh, fromAgent: 'a_1', attempt: 0 }, 1, 2), undefined);
    assert.notEqual(inbox.markSeen({ id: fresh, fromAgent: 'a_2', attempt: 0 }, 1, 2), undefined);
    const row = new OutboxTable(db).findSent(id);
    assert.deepEqual([row?.agent, row?.digest], [1, undefined]);
    db.close();
  });

  it('keeps the tokens of agents: they go by the id that an agent had', async () => {
    await using folder = tempFolder('node');
    const now = openDatabase(folder.path, 'normal');
    now.exec(`${BEFORE_4} INSERT INTO agents (id, name, folded, adapter, spec) VALUES ('a_1', 'Bob', 'bob', 'mailbox',
      '{"command":[],"cwd":"","env":{}}'); PRAGMA user_version = 3`);
    now.close();
    const db = openDatabase(folder.path, 'normal');
    const [row] = new AgentTable(db).load();
    assert.deepEqual([row?.localId, row?.profile], ['a_1', undefined]);
    db.close();
  });

  it('keeps the level of what waits, also where levels were counted from the highest', async () => {
    await using folder = tempFolder('node');
    const row = (seq: number, level: number) => `(1, ${seq}, x'', 1, 1, 1, '', 1, 1, ${level}, NULL)`;
    const now = openDatabase(folder.path, 'normal');
    now.exec(`INSERT INTO inbox VALUES ${[0, 1, 2, 3].map((level) => row(level + 1, level)).join()};
      DROP INDEX directory_name; ALTER TABLE seen DROP COLUMN attempt; PRAGMA user_version = 6`);
    now.close();
    const db = openDatabase(folder.path, 'normal');
    assert.deepEqual(
      new InboxTable(db).load().map(({ level }) => level),
      [3, 2, 1, 0],
    );
    db.close();
  });

  it('recognizes by its id alone what was sent under the digest of before', async () => {
    await using folder = tempFolder('node');
    const id = newMessageId();
    const now = openDatabase(folder.path, 'normal');
    now.exec(`${BEFORE_4} INSERT INTO sent VALUES (1, '${id}', 1, 1, '', '', 281474976710655);
      PRAGMA user_version = 2`);
    now.close();
    const db = openDatabase(folder.path, 'normal');
    assert.equal(new OutboxTable(db).findSent(id)?.digest, undefined);
    db.close();
  });
});
