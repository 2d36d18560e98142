/**
 * Goal: the dedupe ids of a node's receipts outlast its restarts, and nobody knows them beforehand.
 * Method: the first receipt of a node, published from its folder, from the same folder opened again, and from another one.
 */

import assert from 'node:assert/strict';
import { type Broker, dedupeIds } from '@fleetwire/broker';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { ReceiptPublisher } from '../src/hub/receipt-publisher.ts';
import { AgentTable } from '../src/store/agent-table.ts';
import { openDatabase } from '../src/store/database.ts';
import { ReceiptTable } from '../src/store/receipt-table.ts';
import { Turns } from '../src/store/turns.ts';

/** The id of the first receipt, which stays in the folder. */
async function firstId(dir: string): Promise<string> {
  const db = openDatabase(dir, 'normal');
  const ids: string[] = [];
  const store: Broker['store'] = async (_subject, _payload, { msgId }) => {
    ids.push(msgId);
    throw new Error('not stored');
  };
  const broker = { store, connected: () => true } as unknown as Broker;
  const table = new ReceiptTable(db);
  if (table.count() === 0) table.insert('n_to', new Uint8Array(1));
  const publisher = new ReceiptPublisher({
    org: 'o_1',
    node: 'n_1',
    table,
    turns: new Turns(db, { beforeCommit: () => undefined, rolledBack: () => undefined }),
    ids: dedupeIds(new AgentTable(db).secret()),
    broker: () => broker,
    failed: () => undefined,
  });
  publisher.publishAll();
  await eventually(() => ids.length > 0);
  await publisher.stop();
  db.close();
  return ids[0]!;
}

describe('ids of receipts', () => {
  it('are the same after a restart, and of no other node', async () => {
    await using one = tempFolder('ids');
    await using other = tempFolder('ids');
    const id = await firstId(one.path);
    assert.equal(await firstId(one.path), id);
    assert.notEqual(await firstId(other.path), id);
  });
});
