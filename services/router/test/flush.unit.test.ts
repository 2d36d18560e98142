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
const asked = FlushRequest.fromPartial({ org: ORG, agent: OLD.agent, epoch: 5, subject: OLD.subject });

function told({ stores }: Publication): [string, string[]] {
  const { subject, payload } = stores[0]!;
  return [subject, InboxPack.decode(payload).entries.map((entry) => Envelope.decode(entry.envelope).id)];
}

describe('a flush', () => {
  it('waits for what is in flight and for what waits behind it, all of which goes the old way', () => {
    const table = tableOf('alice');
    const flow = flowOf(table);
    const flushed = () => isFlushed({ table, holds: (subject) => flow.holds(subject) }, asked);
    flow.accept(message(1, packOf([{ id: idOf(1) }])), NOW_US);
    const first = flow.next(NOW_US)!;
    flow.accept(message(2, packOf([{ id: idOf(2) }])), NOW_US);
    assert.equal(flushed(), false);
    table.put(NEW);
    flow.accept(message(3, packOf([{ id: idOf(3) }])), NOW_US);
    assert.equal(flushed(), false);
    assert.deepEqual(told(flow.next(NOW_US)!), [NEW.subject, [idOf(3)]]);
    flow.stored(first);
    assert.equal(flushed(), false);
    const second = flow.next(NOW_US)!;
    assert.deepEqual(told(second), [OLD.subject, [idOf(2)]]);
    assert.equal(flushed(), false);
    flow.stored(second);
    assert.equal(flushed(), true);
  });

  it('waits for the later route, and for a later one that leads elsewhere', () => {
    const table = tableOf('alice');
    const flushed = () => isFlushed({ table, holds: () => false }, asked);
    assert.equal(flushed(), false);
    table.put(route('alice', { epoch: 6 }));
    assert.equal(flushed(), false, 'renamed, and not moved yet');
    table.put(NEW);
    assert.equal(flushed(), true);
  });

  it('needs no route of an agent that is gone', () => {
    const table = tableOf('alice');
    table.remove(ORG, OLD.agent);
    assert.equal(isFlushed({ table, holds: () => false }, asked), true);
    assert.equal(isFlushed({ table, holds: () => true }, asked), false);
  });
});
