/**
 * Goal: a session repeats a pack in doubt unchanged until it is known, acknowledges only what is settled, holds up
 * for a poison message a moment only, and publishes nothing once it is in doubt itself.
 * Method: a broker in the hands of the test; time-outs of a few milliseconds where the session waits.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { peerSubject } from '@fleetwire/contract';
import { PeerFrame } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { BusyNotices } from '../src/domain/busy-notices.ts';
import { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { KnownName } from '../src/domain/resolve.ts';
import { PartitionSession } from '../src/handlers/partition-session.ts';
import { PeerFrames } from '../src/handlers/peer-frames.ts';
import { HandBroker } from './hand-broker.ts';
import { idOf, ORG, packOf, suggestionsOf, tableOf } from './samples.ts';

interface Setup {
  readonly known?: (folded: string) => KnownName | undefined;
  readonly entriesMax?: number;
}

function setup(o: Setup = {}) {
  const broker = new HandBroker();
  const state = { certain: true };
  const table = tableOf('alice', 'bob');
  const flow = new PartitionFlow<PulledMessage>({
    partition: 0,
    router: 'router-test',
    names: { table, known: (_org, folded) => o.known?.(folded) },
    suggest: suggestionsOf(table),
  });
  const log = { warn: () => {}, info: () => {}, error: () => {} } as never;
  const session = new PartitionSession({
    broker: broker as never,
    durable: 'router-p0-e1',
    flow,
    frames: new PeerFrames({ broker, notices: new BusyNotices() }),
    lookup: { find: (_question, done) => done({ route: undefined }) },
    certain: () => state.certain,
    limits: {
      pullMessages: 10,
      entriesMax: o.entriesMax ?? 100,
      bytesMax: 1e6,
      publishesMax: 8,
      retry: { initialMs: 1, maxMs: 2 },
      poisonTries: 5,
      poisonWaitMs: 1,
      lagHighMs: 1000,
    },
    log,
  });
  return { broker, state, flow, session, running: session.run() };
}

const inDoubt = new FleetwireError('unavailable', 'PUBLISH_IN_DOUBT', 'no answer');
const full = new FleetwireError('resource_exhausted', 'STREAM_FULL', 'full');
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

describe('a session', () => {
  it('repeats a pack in doubt with the same id, and holds its lane meanwhile', async () => {
    const { broker, session, running } = setup();
    broker.feed(packOf([{ id: idOf(1) }]));
    await eventually(() => broker.stores.length === 1);
    broker.feed(packOf([{ id: idOf(2) }]), packOf([{ id: idOf(3), to: 'bob' }]));
    await eventually(() => broker.stores.length === 2);
    assert.match(broker.stores[1]!.subject, /a_bob$/);
    broker.stores[0]!.fail(inDoubt);
    await eventually(() => broker.stores.length === 3);
    assert.equal(broker.stores[2]!.msgId, broker.stores[0]!.msgId);
    broker.stores[1]!.ok();
    await turn();
    assert.deepEqual(broker.acked, []);
    broker.stores[2]!.ok();
    await eventually(() => broker.stores.length === 4);
    assert.match(broker.stores[3]!.subject, /a_alice$/);
    assert.notEqual(broker.stores[3]!.msgId, broker.stores[0]!.msgId);
    broker.stores[3]!.ok();
    await eventually(() => broker.acked.at(-1) === 3);
    session.drain(1000);
    await running;
    assert.equal(session.doubt, 'drained');
  });

  it('is done with refused mail only when its receipt is stored', async () => {
    const { broker, session, running } = setup();
    broker.feed(packOf([{}]));
    await eventually(() => broker.stores.length === 1);
    broker.stores[0]!.fail(full);
    await eventually(() => broker.stores.length === 2);
    assert.match(broker.stores[1]!.subject, /\.receipt\./);
    await turn();
    assert.deepEqual(broker.acked, []);
    broker.stores[1]!.fail(full);
    await eventually(() => broker.stores.length === 3);
    assert.equal(broker.stores[2]!.msgId, broker.stores[1]!.msgId);
    broker.stores[2]!.ok();
    await eventually(() => broker.acked.length === 1);
    session.halt('over');
    await running;
  });

  it('repeats what a server refused that is not full, and returns it only at the bound', async () => {
    const { broker, session, running } = setup();
    broker.full = false;
    broker.feed(packOf([{}]));
    await eventually(() => broker.stores.length === 1);
    broker.stores[0]!.fail(full);
    await eventually(() => broker.stores.length === 2);
    assert.deepEqual(broker.stores[1]!.subject, broker.stores[0]!.subject);
    assert.equal(broker.stores[1]!.msgId, broker.stores[0]!.msgId);
    broker.full = true;
    broker.stores[1]!.fail(full);
    await eventually(() => broker.stores.length === 3);
    assert.match(broker.stores[2]!.subject, /\.receipt\./);
    session.halt('over');
    await running;
  });

  it('needs dead letter and receipt both before unknown mail is done', async () => {
    const { broker, session, running } = setup();
    broker.feed(packOf([{ to: 'nobody' }]));
    await eventually(() => broker.stores.length === 2);
    broker.stores[0]!.ok();
    await turn();
    assert.deepEqual(broker.acked, []);
    broker.stores[1]!.ok();
    await eventually(() => broker.acked.length === 1);
    session.halt('over');
    await running;
  });

  it('publishes and acknowledges nothing once the lease is not certain', async () => {
    const { broker, state, session, running } = setup();
    broker.feed(packOf([{ id: idOf(1) }]), packOf([{ id: idOf(2) }]));
    await eventually(() => broker.stores.length === 1);
    state.certain = false;
    broker.stores[0]!.ok();
    await running;
    assert.equal(broker.stores.length, 1);
    assert.deepEqual(broker.acked, []);
    assert.match(session.doubt!, /lease/);
  });

  it('stops at a doubt of the pull, and at a hole in the deliveries', async () => {
    const first = setup();
    first.broker.feed(packOf([{}]));
    await eventually(() => first.broker.stores.length === 1);
    first.broker.onDoubt('heartbeats stopped');
    await first.running;
    assert.equal(first.session.doubt, 'heartbeats stopped');
    first.broker.stores[0]!.ok();
    await turn();
    assert.deepEqual(first.broker.acked, []);
    const second = setup();
    second.broker.lose();
    second.broker.feed(packOf([{}]));
    await second.running;
    assert.match(second.session.doubt!, /lost/);
    assert.equal(second.broker.stores.length, 0);
  });

  it('tries what makes it throw five times, then buries it, then goes on', async () => {
    let tries = 0;
    const known = (folded: string): KnownName | undefined => {
      if (folded !== 'boom') return undefined;
      tries++;
      throw new Error('ours');
    };
    const { broker, session, running } = setup({ known });
    broker.feed(packOf([{ id: idOf(1), to: 'boom' }]), packOf([{ id: idOf(2) }]));
    await eventually(() => broker.stores.length === 3);
    assert.equal(tries, 5 + 1);
    const kinds = new Set(broker.stores.map((s) => s.subject.split('.')[2]));
    assert.deepEqual(kinds, new Set(['dead', 'receipt', 'inbox']));
    for (const store of broker.stores) store.ok();
    await eventually(() => broker.acked.at(-1) === 2);
    session.halt('over');
    await running;
  });

  it('pulls no more than it may hold, and goes on when there is room', async () => {
    const { broker, session, running } = setup({ entriesMax: 1 });
    broker.feed(packOf([{ id: idOf(1) }]));
    broker.feed(packOf([{ id: idOf(2), to: 'bob' }]));
    await eventually(() => broker.stores.length === 1);
    await turn();
    assert.equal(broker.stores.length, 1);
    broker.stores[0]!.ok();
    await eventually(() => broker.stores.length === 2);
    session.halt('over');
    await running;
  });

  it('finishes what it holds when it is drained, but not for ever', async () => {
    const { broker, session, running } = setup();
    broker.feed(packOf([{}]));
    await eventually(() => broker.stores.length === 1);
    session.drain(5);
    await running;
    assert.match(session.doubt!, /in time/);
  });

  it('tells who takes more than its share of a partition that lags, once a second, and nobody while it does not', async () => {
    const { broker, session, running } = setup({ entriesMax: 1000 });
    let n = 0;
    const second = async (lagMs: number) => {
      const until = n + 11 * 10;
      for (let i = 0; i < 11; i++) {
        for (let k = 0; k < 9; k++)
          broker.feedFrom(
            'n_loud',
            broker.nowUs - lagMs * 1000,
            packOf([{ id: idOf(++n), fromNode: 'n_loud' }]),
          );
        broker.feedFrom(
          'n_quiet',
          broker.nowUs - lagMs * 1000,
          packOf([{ id: idOf(++n), fromNode: 'n_quiet' }]),
        );
        await eventually(() => {
          for (const store of broker.stores) store.ok();
          return broker.acked.at(-1) === n;
        });
        broker.nowUs += 100_000;
      }
      assert.equal(n, until);
    };
    await second(500);
    assert.deepEqual(broker.published, []);
    await second(1500);
    await second(1500);
    const told = broker.published.map(({ subject, payload }) => ({
      subject,
      ...PeerFrame.decode(payload).busy!,
    }));
    assert.deepEqual(
      told.map(({ subject, agent, reason, retryAfterMs }) => [subject, agent, reason, retryAfterMs]),
      Array(2).fill([
        peerSubject.build({ org: ORG, to: 'n_loud', from: 'router' }),
        '',
        'unfair_share',
        1500,
      ]),
    );
    assert.ok(told[1]!.seq > told[0]!.seq);
    session.drain(1000);
    await running;
  });
});
