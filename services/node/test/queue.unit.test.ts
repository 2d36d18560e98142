/**
 * Goal: the queue's bounds and acknowledgements hold for every order of events.
 * Method: laws over random acknowledgements, against a set as the model.
 */

import assert from 'node:assert/strict';
import { NORMAL_LEVEL } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { AgentQueue, type Entry } from '../src/domain/queue.ts';

function entry(seq: number, deadlineUs = 1): Entry {
  const state = {
    deliveredAtUs: 0,
    announced: false,
    unconfirmed: false,
    cancelled: false,
    shown: undefined,
    ended: false,
  };
  const times = { heldAtUs: 0, ingressAtUs: 0, routedAtUs: 0, router: '', deadlineUs, history: true };
  return {
    seq,
    level: NORMAL_LEVEL,
    delivery: 0,
    ...times,
    ...state,
    agent: undefined as never,
    size: 10,
    envelope: undefined,
  };
}

describe('agent queue', () => {
  it('names exactly what an acknowledgement covers, once', () => {
    const acks = fc.array(fc.record({ upTo: fc.nat(40), also: fc.array(fc.nat(40)) }));
    fc.assert(
      fc.property(acks, fc.nat(40), (list, limit) => {
        const queue = new AgentQueue({ messages: 100, bytes: 10_000, drop: 'newest' });
        for (let seq = 1; seq <= 40; seq += 2) queue.push(entry(seq));
        while (queue.waiting.length > 0) queue.attempt(0);
        const open = new Set(queue.attempted.keys());
        for (const ack of list) {
          const named = queue.named(ack, limit).map((e) => e.seq);
          const wanted = [...open].filter((s) => s <= limit && (s <= ack.upTo || ack.also.includes(s)));
          assert.deepEqual([...new Set(named)].sort(order), wanted.sort(order));
          for (const e of queue.named(ack, limit)) queue.endAttempted(e);
          for (const seq of wanted) open.delete(seq);
          assert.equal(queue.depth, open.size);
        }
      }),
    );
  });

  it('gives its bytes back, whatever way a message leaves', () => {
    const queue = new AgentQueue({ messages: 4, bytes: 40, drop: 'newest' });
    for (let seq = 1; seq <= 4; seq++) queue.push(entry(seq, seq));
    assert.equal(queue.hasRoom(10), false);
    queue.endAttempted(queue.attempt(0));
    const second = queue.attempt(1);
    queue.putBack(second);
    assert.equal(queue.waiting.next(), second);
    queue.endNext();
    assert.deepEqual(
      queue.takeExpired(3, 0).map((e) => e.seq),
      [3],
    );
    queue.endNext();
    assert.equal(queue.depth, 0);
    assert.equal(queue.attemptedBytes, 0);
    for (let seq = 5; seq <= 8; seq++) {
      assert.equal(queue.hasRoom(10), true);
      queue.push(entry(seq));
    }
  });
});

function order(a: number, b: number): number {
  return a - b;
}
