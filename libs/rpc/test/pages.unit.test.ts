/** Goal: pages together show a list once and in order, and strange tokens are refused. Method: a law, and edges. */

import assert from 'node:assert/strict';
import type { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { cutPage, PAGE_SIZES, readPage } from '../src/index.ts';

const reasonOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as FleetwireError).reason;
  }
};
const key = fc.stringMatching(/^[a-zäé-]{1,9}$/u);

describe('pages', () => {
  it('together show every row once, in order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key), fc.integer({ min: 1, max: 7 }), (keys, size) => {
        const rows = keys.sort();
        const shown: string[] = [];
        for (let pageToken = ''; ; ) {
          const page = readPage({ pageSize: size, pageToken });
          const read = rows.filter((row) => row > page.after).slice(0, page.size + 1);
          const cut = cutPage(read, page.size, (row) => row);
          shown.push(...cut.shown);
          pageToken = cut.nextPageToken;
          if (pageToken === '') break;
        }
        assert.deepEqual(shown, rows);
      }),
    );
  });

  it('have 100 rows unless told, 1000 at most', () => {
    assert.equal(readPage({ pageSize: 0, pageToken: '' }).size, PAGE_SIZES.initial);
    assert.equal(readPage({ pageSize: 5000, pageToken: '' }).size, PAGE_SIZES.max);
  });

  it('refuse tokens that cannot be theirs', () => {
    const token = (text: string) => Buffer.from(text).toString('base64url');
    const reason = (pageToken: string, isKey?: (key: string) => boolean) =>
      reasonOf(() => readPage({ pageSize: 0, pageToken }, isKey));
    for (const text of [
      '%',
      token('a\0b'),
      token('x'.repeat(513)),
      Buffer.from([0xff]).toString('base64url'),
    ])
      assert.equal(reason(text), 'INVALID_PAGE_TOKEN', text);
    assert.equal(
      reason(token('12'), (key) => /^\d+$/.test(key)),
      'none',
    );
    assert.equal(
      reason(token('ab'), (key) => /^\d+$/.test(key)),
      'INVALID_PAGE_TOKEN',
    );
  });
});
