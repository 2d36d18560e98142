/**
 * Goal: senders are told to hold back in time and again before it lapses, and to go on with shares that fit into the room.
 * Method: the machine itself with times that the test gives; laws over random events.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { BusySignal } from '../src/domain/busy-signal.ts';

const RULES = { recentMs: 10_000, sendersMax: 4, lapseMs: 2000 };

describe('busy signal', () => {
  it('tells those who have sent lately, once, and again before it lapses', () => {
    const signal = new BusySignal(RULES);
    assert.equal(signal.heard('n_old', 0), false);
    signal.heard('n_one', 9000);
    signal.heard('n_two', 9500);
    assert.deepEqual(signal.rise(10_500), ['n_one', 'n_two']);
    assert.equal(signal.heard('n_one', 10_600), false);
    assert.deepEqual(signal.due(11_000), []);
    assert.deepEqual(signal.due(11_500), ['n_two', 'n_one']);
  });

  it('tells at once who begins to send meanwhile', () => {
    const signal = new BusySignal(RULES);
    signal.rise(0);
    assert.equal(signal.heard('n_new', 10), true);
    assert.equal(signal.heard('n_new', 20), false);
  });

  it('shares the room among those who send, and tells those who wait', () => {
    const signal = new BusySignal(RULES);
    for (const node of ['n_one', 'n_two']) signal.heard(node, 0);
    signal.rise(0);
    assert.deepEqual(signal.fall(100, 81), { nodes: ['n_one', 'n_two'], credits: 40 });
    assert.deepEqual(signal.due(5000), []);
    signal.rise(6000);
    assert.deepEqual(signal.fall(6001, 0), { nodes: ['n_one', 'n_two'], credits: 1 });
  });

  it('says nothing of going on to whom it has lapsed', () => {
    const signal = new BusySignal(RULES);
    signal.heard('n_one', 0);
    signal.rise(0);
    assert.deepEqual(signal.fall(2000, 10).nodes, []);
  });

  it('numbers grow with every frame, and beyond a restart', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 })), (drifts) => {
        let nowUs = 1_700_000_000_000_000;
        let last = 0;
        for (const drift of drifts) {
          nowUs += drift;
          const seq = new BusySignal(RULES).nextSeq(nowUs + 10);
          assert.ok(seq > nowUs);
        }
        const signal = new BusySignal(RULES);
        for (const drift of drifts) {
          nowUs += drift;
          const seq = signal.nextSeq(nowUs);
          assert.ok(seq > last);
          last = seq;
        }
      }),
    );
  });

  it('no sender that keeps sending is without word for longer than it holds, and few are remembered', () => {
    const event = fc.record({ node: fc.integer({ min: 0, max: 6 }), ms: fc.integer({ min: 0, max: 900 }) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const signal = new BusySignal(RULES);
        const told = new Map<string, number>();
        let nowMs = 0;
        for (const node of signal.rise(nowMs)) told.set(node, nowMs);
        for (const { node, ms } of events) {
          // The one who carries out asks at least so often.
          for (const until = nowMs + ms; nowMs < until; nowMs = Math.min(until, nowMs + 500))
            for (const one of signal.due(nowMs)) told.set(one, nowMs);
          if (signal.heard(`n_${node}`, nowMs)) told.set(`n_${node}`, nowMs);
          assert.ok(nowMs - told.get(`n_${node}`)! < RULES.lapseMs);
        }
        assert.ok(signal.fall(nowMs, 1).nodes.length <= RULES.sendersMax);
      }),
    );
  });
});
