/**
 * Goal: however many recipients the envelopes of one message have, a router holds no more than its bound and one envelope beyond,
 * comes up for air in between, and acknowledges only the whole.
 * Method: packs of messages to everybody, on a flow in memory, and on a session whose broker is in the hands of the test.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { PartitionFlow } from '../src/domain/partition-flow.ts';
import { RoutingTable } from '../src/domain/routing-table.ts';
import { PartitionSession } from '../src/handlers/partition-session.ts';
import { HandBroker } from './hand-broker.ts';
import { flowOf, idOf, message, NOW_US, packOf, route, suggestionsOf } from './samples.ts';

function crowd(agents: number): RoutingTable {
  const table = new RoutingTable();
  for (let i = 0; i < agents; i++)
    table.put(route(`agent-${i}`, { node: `n_${i % 10}`, nodeName: `node-${i % 10}` }));
  return table;
}

const toAll = (from: number, count: number) =>
  packOf(Array.from({ length: count }, (_, i) => ({ id: idOf(from + i), to: '*' })));

function settleAll(flow: PartitionFlow, refuse = false): number {
  let packs = 0;
  for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US), packs++)
    if (refuse && p.pack.items[0]!.kind === 'inbox') flow.refused(p, NOW_US);
    else flow.stored(p);
  return packs;
}

describe('a message whose envelopes are to many', () => {
  it('is taken as far as there is room, goes on where it was, and is open until all of it is settled', () => {
    const flow = flowOf(crowd(100));
    const pack = message(1, toAll(1, 5));
    let taken = 0;
    while (!flow.accept(pack, NOW_US, 'throw', { mayGoOn: () => false, copiesMax: 1e9 })) {
      taken++;
      assert.ok(flow.spread > 100 * 100);
      settleAll(flow);
      assert.deepEqual([flow.spread, flow.advance()], [0, undefined]);
    }
    assert.equal(taken, 4);
    settleAll(flow);
    assert.equal(flow.advance()?.sequence, 1);
    assert.deepEqual([flow.counts.routed, flow.bytes], [5 * 10, 0]);
  });

  it('weighs what is to be told of each recipient, too, until it is told', () => {
    const flow = flowOf(crowd(100));
    flow.accept(message(1, toAll(1, 1)), NOW_US);
    for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
      if (p.pack.items[0]!.kind !== 'inbox') flow.stored(p);
      else {
        flow.refused(p, NOW_US);
        break;
      }
    }
    assert.ok(flow.spread > 90 * 128 + 10 * 512);
    settleAll(flow, true);
    flow.advance();
    assert.equal(flow.bytes, 0);
  });
});

function sessionOf(table: RoutingTable, bytesMax: number) {
  const broker = new HandBroker();
  const flow = new PartitionFlow<PulledMessage>({
    partition: 0,
    router: 'router-test',
    names: { table, known: () => undefined },
    suggest: suggestionsOf(table),
  });
  const session = new PartitionSession({
    broker: broker as never,
    durable: 'router-p0-e1',
    flow,
    lookup: { find: (_question, done) => done({ route: undefined }) },
    certain: () => true,
    limits: {
      pullMessages: 128,
      entriesMax: 10_000,
      bytesMax,
      publishesMax: 64,
      retry: { initialMs: 1, maxMs: 2 },
      poisonTries: 5,
      poisonWaitMs: 1,
      lagHighMs: 1000,
    },
    log: { warn: () => {}, info: () => {}, error: () => {} } as never,
  });
  return { broker, flow, session, running: session.run() };
}

describe('a session that is given messages to many', () => {
  for (const [what, packs] of [
    ['in one pack', [toAll(1, 200)]],
    ['in many packs of one pull', Array.from({ length: 40 }, (_, i) => toAll(1 + i * 5, 5))],
  ] as const) {
    it(`holds no more than its bound and one more, and ends them all: ${what}`, async () => {
      const bytesMax = 1_000_000;
      const { broker, flow, session, running } = sessionOf(crowd(1000), bytesMax);
      broker.feed(...packs);
      await eventually(() => flow.bytes >= bytesMax);
      let most = 0;
      let answered = 0;
      await eventually(() => {
        most = Math.max(most, flow.bytes);
        for (; answered < broker.stores.length; answered++) broker.stores[answered]!.ok();
        return broker.acked.at(-1) === packs.length;
      });
      assert.ok(most < bytesMax + 1000 * 128 + 2000, `${most} bytes`);
      assert.equal(flow.counts.routed, 200 * 10);
      session.halt('over');
      await running;
    });
  }

  it('does not store a large one in a copy for each that has other mail, but waits until that is stored', async () => {
    const { broker, flow, session, running } = sessionOf(crowd(100), 10_000_000);
    const small = Array.from({ length: 100 }, (_, i) => ({ id: idOf(i + 1), to: `agent-${i}` }));
    broker.feed(packOf([...small, { id: idOf(101), to: '*', body: new Uint8Array(1_000_000) }]));
    await eventually(() => broker.stores.length === 64 && flow.copies > 99_000_000);
    assert.ok(flow.holds('fw.v1.inbox.0.any.n_x.a_x'), 'a move waits for what is held up');
    let answered = 0;
    await eventually(() => {
      for (; answered < broker.stores.length; answered++) broker.stores[answered]!.ok();
      return broker.acked.length > 0;
    });
    const subjects = broker.stores.map(({ subject }) => subject.split('.')[2]);
    const apart = subjects.filter((kind) => kind === 'inbox').length - 100 - 10;
    assert.ok(apart >= 0 && apart <= 4, `${apart} copies`);
    assert.deepEqual([broker.acked, flow.bytes, flow.copies], [[1], 0, 0]);
    session.halt('over');
    await running;
  });

  it('comes up for air between the envelopes of one message', async () => {
    const { broker, flow, session, running } = sessionOf(crowd(10_000), 1_000_000_000);
    let turns = 0;
    const breathing = setInterval(() => {
      turns++;
    }, 1);
    broker.feed(toAll(1, 100));
    await eventually(() => flow.spread > 100 * 10_000 * 128);
    clearInterval(breathing);
    assert.ok(turns > 2, `${turns} turns`);
    session.halt('over');
    await running;
  });

  it('acknowledges again what comes again though it is done with, and nothing that is open', async () => {
    const { broker, session, running } = sessionOf(crowd(10), 1_000_000);
    const pack = packOf([{ to: 'agent-1' }]);
    broker.feed(pack);
    await eventually(() => broker.stores.length === 1);
    broker.again(1, pack);
    broker.feed(packOf([{ to: 'agent-2', id: idOf(2) }]));
    await eventually(() => broker.stores.length === 2);
    assert.deepEqual(broker.acked, []);
    for (const { ok } of broker.stores) ok();
    await eventually(() => broker.acked.length === 1);
    const before = broker.acked.length;
    broker.again(1, pack);
    await eventually(() => broker.acked.length === before + 1);
    assert.equal(broker.stores.length, 2);
    session.halt('over');
    await running;
  });
});
