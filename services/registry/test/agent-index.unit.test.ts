/** Goal: the index of agents says what a look at all of them says, whatever came and went. Method: random changes. */

import assert from 'node:assert/strict';
import { Route } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { OrgView } from '../src/routing/org-view.ts';

const CAPABILITIES = ['build', 'review', 'test'];

describe('the agents of an org in memory', () => {
  it('are found by what they can do as by a look at all', () => {
    const change = fc.record({
      n: fc.nat(5),
      capabilities: fc.option(fc.subarray(CAPABILITIES), { nil: undefined, freq: 3 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const view = new OrgView(1000);
        const present = new Map<string, readonly string[]>();
        for (const [i, { n, capabilities }] of changes.entries()) {
          const id = `a_${n}`;
          if (capabilities === undefined) {
            view.remove(id, i + 1);
            present.delete(id);
          } else {
            const route = Route.fromPartial({ agent: id, name: `x-${n}`, epoch: i, capabilities });
            view.put(id, { kind: 'agent', route }, i + 1);
            present.set(id, capabilities);
          }
        }
        for (const capability of CAPABILITIES) {
          const found = [...view.able(capability)].map((entry) => entry.id).toSorted();
          const expected = [...present].filter(([, able]) => able.includes(capability)).map(([id]) => id);
          assert.deepEqual(found, expected.toSorted());
        }
      }),
    );
  });
});
