/** Goal: what is remembered of a node is the latest that was read. Method: readings that end in another order than they began. */

import assert from 'node:assert/strict';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { KnownNodes } from '../src/handlers/known-nodes.ts';
import type { NodeRow } from '../src/store/entities.ts';

describe('nodes that are remembered', () => {
  const row = (revision: number) => ({ id: 'n', revision }) as NodeRow;
  const reading = () => {
    const ends: ((node: NodeRow | null) => void)[] = [];
    const load = () => new Promise<NodeRow | null>((resolve) => ends.push(resolve));
    return { ends, known: new KnownNodes({ load, clock: systemClock, max: 10, freshMs: 60_000 }) };
  };

  for (const later of [row(2), null]) {
    it(`stay as of the reading that began last (${later ? 'changed' : 'gone'})`, async () => {
      const { ends, known } = reading();
      const [first, second] = [known.fresh('n'), known.fresh('n')];
      ends[1]!(later);
      assert.equal(await second, later);
      ends[0]!(row(1));
      assert.equal((await first)?.revision, 1);
      const now = known.get('n');
      // Only a node that is not remembered is read again.
      ends[2]?.(null);
      assert.equal(await now, later);
    });
  }

  it('follow readings that end in order', async () => {
    const { ends, known } = reading();
    const both = [known.fresh('n'), known.fresh('n')];
    ends[0]!(row(1));
    ends[1]!(row(2));
    await Promise.all(both);
    assert.equal((await known.get('n'))?.revision, 2);
  });
});
