/**
 * Goal: whoever writes the entry of an agent or node after it was removed leaves none behind; what PostgreSQL has can always be
 * written. Method: a bucket in memory that remembers removals as NATS does.
 */

import assert from 'node:assert/strict';
import type { Bucket } from '@fleetwire/broker';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { NodeRoutes } from '../src/routing/node-routes.ts';
import { RouteTable } from '../src/routing/route-table.ts';

const KEY = 'o_1.a_0000000000000001';
const ENTRY = { epoch: 1, bytes: Buffer.from('entry') };

/** A value, or undefined for what remembers a removal. */
function bucketInMemory() {
  const kept = new Map<string, { value: Uint8Array | undefined; revision: number }>();
  let revision = 0;
  const put = (key: string, value: Uint8Array | undefined) => kept.set(key, { value, revision: ++revision });
  const update = async (key: string, value: Uint8Array, expected: number) => {
    if ((kept.get(key)?.revision ?? 0) !== expected)
      throw new FleetwireError('aborted', 'REVISION_CONFLICT', 'another one');
    put(key, value);
    return revision;
  };
  const bucket: Partial<Bucket> = {
    get: async (key) => {
      const entry = kept.get(key);
      return entry?.value && { key, value: entry.value, revision: entry.revision, storedAtUs: 0 };
    },
    update,
    create: (key, value) => update(key, value, kept.get(key)?.revision ?? 0),
    delete: async (key) => void put(key, undefined),
  };
  return { bucket: bucket as Bucket, has: () => kept.get(KEY)?.value !== undefined, size: () => kept.size };
}

describe('an entry that is written late', () => {
  const tableOf = (present: boolean) => {
    const memory = bucketInMemory();
    const removeGone = async (keys: readonly string[]) => {
      if (!present) for (const key of keys) await table.removeKey(key);
    };
    const table: RouteTable = new RouteTable({ bucket: memory.bucket, removeGone });
    return { table, ...memory, get: (key: string) => memory.bucket.get(key) };
  };

  for (const fresh of [true, false]) {
    it(`does not stay when its agent was removed before there was one (${fresh ? 'new' : 'known'})`, async () => {
      const { table, has } = tableOf(false);
      await table.remove('o_1', 'a_0000000000000001');
      await table.ensureEntry(KEY, ENTRY, fresh);
      assert.equal(has(), false);
    });
  }

  it('does not stay when its node was removed while it was being written', async () => {
    const node = { id: 'n_1', org: 'o_1', name: 'n', shard: 0, status: 'online', draining: false, epoch: 1 };
    const { table, size, get } = tableOf(false);
    const nodes = new NodeRoutes(table);
    await nodes.ensure(node);
    const late = nodes.ensure({ ...node, epoch: 2 });
    await nodes.remove('o_1', 'n_1');
    await late;
    await nodes.ensure({ ...node, epoch: 3 });
    assert.deepEqual([size(), await get('o_1.n_1')], [1, undefined]);
  });

  it('stays when PostgreSQL has the agent again', async () => {
    const { table, has } = tableOf(true);
    await table.remove('o_1', 'a_0000000000000001');
    await table.ensureEntry(KEY, ENTRY);
    assert.ok(has());
  });

  it('leaves no trace when there was nothing to remove', async () => {
    const { table, size } = tableOf(true);
    await table.removeKey(KEY);
    assert.equal(size(), 0);
  });
});
