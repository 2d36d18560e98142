/**
 * Goal: counts by subject are read page by page, and so many pages at most. Method: a server in the hands of the test.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { JetstreamApi } from '../src/request.ts';
import { createStreams } from '../src/streams.ts';

/** Has `subjects` of them, and tells `page` at a time; `growing`: there are more each time that it is asked. */
function server(subjects: number, page: number, growing = 0) {
  const offsets: number[] = [];
  const call = async (_operation: string, { offset }: { offset: number }) => {
    offsets.push(offset);
    const total = subjects + growing * offsets.length;
    const count = Math.max(0, Math.min(page, total - offset));
    const some = Array.from({ length: count }, (_, i) => [`s.${offset + i}`, 2]);
    const state = { messages: 2 * total, bytes: 10, first_seq: 1, last_seq: 2 * total };
    return { total, config: { max_bytes: 100 }, state: { ...state, subjects: Object.fromEntries(some) } };
  };
  return { offsets, streams: createStreams({ call } as unknown as JetstreamApi) };
}

describe('counts by subject', () => {
  it('are of all pages', async () => {
    const { streams, offsets } = server(7, 3);
    const { subjects, messages } = (await streams.countBySubject('S', 's.>', 100))!;
    assert.deepEqual([subjects.size, messages, offsets], [7, 14, [0, 3, 6]]);
    assert.deepEqual([...new Set(subjects.values())], [2]);
  });

  it('end with the page that reaches the bound, also where there are ever more', async () => {
    for (const growing of [0, 1000]) {
      const { streams, offsets } = server(1000, 3, growing);
      const { subjects } = (await streams.countBySubject('S', 's.>', 6))!;
      assert.deepEqual([subjects.size, offsets], [6, [0, 3]]);
    }
  });

  it('end where there is nothing more, whatever the server says that there is', async () => {
    for (const [subjects, page] of [
      [0, 3],
      [10, 0],
    ] as const) {
      const { streams, offsets } = server(subjects, page);
      assert.equal((await streams.countBySubject('S', 's.>', 100))!.subjects.size, 0);
      assert.equal(offsets.length, 1);
    }
  });
});
