/**
 * Goal: a router says that an agent's mail is flushed only when its table has the later route and nothing for the old
 * subject is left in memory; and mail of before the change goes to the old subject whole, so that it can go first.
 * Method: a flow and a table in memory; the table is changed while a pack is in flight and another one waits.
 */

import assert from 'node:assert/strict';
import { Envelope, FlushRequest, InboxPack } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import type { Publication } from '../src/domain/publication.ts';
import { isFlushed } from '../src/handlers/flush-answers.ts';
import { flowOf, idOf, message, NOW_US, ORG, packOf, route, tableOf } from './samples.ts';

const OLD = route('alice');
const NEW = route('alice', { node: 'n_tower', nodeName: 'tower', epoch: 7 });
const caughtUp = async () => true;
const asked = FlushRequest.fromPartial({ org: ORG, agent: OLD.agent, epoch: 5, subject: OLD.subject });

function told({ stores }: Publication): [string, string[]] {
  const { subject, payload } = stores[0]!;
  return [subject, InboxPack.decode(payload).entries.map((entry) => Envelope.decode(entry.envelope).id)];
}

describe('a flush', () => {
  it('waits for what is in flight and for what waits behind it, all of which goes the old way', async () => {
    const table = tableOf('alice');
    const flow = flowOf(table);
    const flushed = () => isFlushed({ table, caughtUp, holds: (subject) => flow.holds(subject) }, asked);
    flow.accept(message(1, packOf([{ id: idOf(1) }])), NOW_US);
    const first = flow.next(NOW_US)!;
    flow.accept(message(2, packOf([{ id: idOf(2) }])), NOW_US);
    assert.equal(await flushed(), false);
    table.put(NEW);
    flow.accept(message(3, packOf([{ id: idOf(3) }])), NOW_US);
    assert.equal(await flushed(), false);
    assert.deepEqual(told(flow.next(NOW_US)!), [NEW.subject, [idOf(3)]]);
    flow.stored(first);
    assert.equal(await flushed(), false);
    const second = flow.next(NOW_US)!;
    assert.deepEqual(told(second), [OLD.subject, [idOf(2)]]);
    assert.equal(await flushed(), false);
    flow.stored(second);
    assert.equal(await flushed(), true);
  });

  it('waits for the later route, and for a later one that leads elsewhere', async () => {
    const table = tableOf('alice');
    const flushed = () => isFlushed({ table, caughtUp, holds: () => false }, asked);
    assert.equal(await flushed(), false);
    table.put(route('alice', { epoch: 6 }));
    assert.equal(await flushed(), false, 'renamed, and not moved yet');
    table.put(NEW);
    assert.equal(await flushed(), true);
  });

  it('needs no route of an agent that is gone', async () => {
    const table = tableOf('alice');
    table.remove(ORG, OLD.agent);
    assert.equal(await isFlushed({ table, caughtUp, holds: () => false }, asked), true);
    assert.equal(await isFlushed({ table, caughtUp, holds: () => true }, asked), false);
  });

  it('takes no agent for gone by a table that may be behind the bucket', async () => {
    const table = tableOf();
    const never = async () => false;
    assert.equal(await isFlushed({ table, caughtUp: never, holds: () => false }, asked), false);
    for (const [found, yes] of [
      [OLD, false],
      [NEW, true],
    ] as const) {
      const late = tableOf();
      const learns = async () => {
        late.put(found);
        return true;
      };
      assert.equal(await isFlushed({ table: late, caughtUp: learns, holds: () => false }, asked), yes);
    }
  });
});
