/**
 * Goal: a busy recipient gets one message at a time until it says more, one with credits as many as it said, and nothing
 * stays held for longer than what was said last allows. Method: fixed courses of frames, receipts and time.
 */

import assert from 'node:assert/strict';
import { PeerFrame } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { peerSignal } from '../src/domain/peer-signal.ts';
import { ALL, RecipientFlows } from '../src/domain/recipient-flow.ts';
import { busy, ready, wholeBusy } from './frames.ts';

const RULES = { busyMaxMs: 10_000, creditLapseMs: 500, recipientsMax: 3 };
const end = (messageId: string, reason = '') => ({ messageId, final: true, reason });

describe('what a recipient takes', () => {
  const flows = (...signals: ReturnType<typeof busy>[]) => {
    const all = new RecipientFlows(RULES);
    for (const signal of signals) all.hear(signal, 0);
    return all;
  };

  it('is everything while it has said nothing', () => {
    const all = flows();
    assert.deepEqual([all.allowance('bob'), all.holds('bob', undefined)], [Number.POSITIVE_INFINITY, false]);
    assert.deepEqual([all.heard([end('x')]), all.lapse(1e9)], [[], []]);
  });

  it('is one message at a time while it is busy, whoever writes its name how', () => {
    const all = flows(busy('Bob', { node: 'Far' }));
    assert.equal(all.allowance('bob'), 1);
    assert.deepEqual(
      [undefined, 'far', 'near'].map((node) => all.holds('bob', node)),
      [true, true, false],
    );
    all.took('bob', 'm1');
    assert.equal(all.allowance('bob'), 0);
    assert.deepEqual(all.heard([{ ...end('m1'), final: false }, end('m2')]), []);
    assert.deepEqual(all.heard([end('m1')]), ['bob']);
    assert.equal(all.allowance('bob'), 1);
  });

  it('is nothing more once its queue has sent one back, until it says that there is room', () => {
    const all = flows(busy('bob'));
    all.took('bob', 'm1');
    assert.deepEqual(all.heard([end('m1', 'QUEUE_FULL')]), []);
    assert.equal(all.allowance('bob'), 0);
    all.hear(busy('bob', { seq: 2 }), 100);
    assert.equal(all.allowance('bob'), 0);
    all.hear(ready('bob', 5, { seq: 3 }), 200);
    assert.equal(all.allowance('bob'), 6);
  });

  it('is as many as it has said, then one at a time, then everything', () => {
    const all = flows(busy('bob'));
    all.hear(ready('bob', 2, { seq: 2 }), 100);
    for (const id of ['m1', 'm2', 'm3']) all.took('bob', id);
    assert.equal(all.allowance('bob'), 0);
    assert.deepEqual(all.heard([end('m1'), end('m3')]), ['bob']);
    assert.equal(all.allowance('bob'), 1);
    assert.deepEqual(all.lapse(599), []);
    assert.deepEqual([all.nextLapseMs, all.lapse(600)], [600, ['bob']]);
    assert.equal(all.size, 0);
  });

  it('is one message more when a BUSY lapses without another word, and everything after a while', () => {
    const all = flows(busy('bob', { retryAfterMs: 1000 }));
    all.took('bob', 'm1');
    assert.deepEqual([all.lapse(999), all.lapse(1000)], [[], ['bob']]);
    assert.equal(all.allowance('bob'), 1);
    assert.deepEqual(all.heard([end('m1')]), [], 'the one of before is in flight no more');
    assert.deepEqual([all.lapse(1499), all.lapse(1500), all.size], [[], ['bob'], 0]);
    assert.equal(all.waitsForReceipts, false);
  });

  it('does not change by what is older, or by a wait that is longer than is heeded', () => {
    const all = flows(busy('bob', { seq: 7, retryAfterMs: 4_000_000_000 }));
    assert.deepEqual(all.hear(ready('bob', 100, { seq: 7 }), 1), []);
    assert.deepEqual(all.hear(ready('bob', 100, { seq: 6 }), 1), []);
    assert.equal(all.allowance('bob'), 1);
    assert.equal(all.nextLapseMs, RULES.busyMaxMs);
    assert.deepEqual(all.hear(ready('bob', 100, { seq: 1, publisher: 'router' }), 1), ['bob']);
  });

  it('begins anew for another agent of the same name, or when it is elsewhere', () => {
    const all = flows(busy('bob', { seq: 7 }));
    all.took('bob', 'm1');
    all.hear(busy('bob', { agent: 'a_another', publisher: 'n_2', seq: 1 }), 1);
    assert.equal(all.allowance('bob'), 1);
    assert.deepEqual(all.heard([end('m1')]), []);
  });

  it('is known of so many recipients; the one that was silent longest flows freely', () => {
    const all = flows(busy('a'), busy('b'), busy('c'), busy('a', { seq: 2 }));
    assert.deepEqual(all.hear(busy('d'), 1), ['d', 'b']);
    assert.deepEqual([all.size, all.holds('b', undefined)], [3, false]);
  });

  it('is one message in all when a router says that there is too much, until any word about it', () => {
    const all = flows(wholeBusy({ retryAfterMs: 1000 }));
    all.took(ALL, 'm1');
    assert.deepEqual([all.allowance(ALL), all.waitsForReceipts], [0, true]);
    assert.deepEqual(all.heard([{ messageId: 'm1', final: false, reason: '' }]), [ALL]);
    assert.equal(all.allowance(ALL), 1);
    assert.deepEqual([all.lapse(1000), all.size], [[ALL], 0]);
  });
});

describe('what may go once a router says stop', () => {
  const stop = (seq: number, retryAfterMs = 1000) =>
    wholeBusy({ reason: 'ingress_budget', seq, retryAfterMs });

  it('is nothing, whatever is in flight and whatever ends, until it lapses', () => {
    const all = new RecipientFlows(RULES);
    all.hear(wholeBusy(), 0);
    all.took(ALL, 'm1');
    all.hear(stop(2), 100);
    assert.equal(all.allowance(ALL), 0);
    all.heard([end('m1')]);
    assert.equal(all.allowance(ALL), 0);
    assert.deepEqual([all.lapse(1099), all.allowance(ALL)], [[], 0]);
    assert.deepEqual([all.lapse(1100), all.allowance(ALL)], [[ALL], Number.POSITIVE_INFINITY]);
  });

  it('is not more by a weaker word that comes later, but longer nothing by another stop', () => {
    const all = new RecipientFlows(RULES);
    all.hear(stop(1), 0);
    for (const reason of ['rate_limited', 'unfair_share'])
      assert.deepEqual(all.hear(wholeBusy({ reason, seq: 2, retryAfterMs: 5000 }), 500), []);
    assert.deepEqual([all.of(ALL)!.reason, all.nextLapseMs], ['ingress_budget', 1000]);
    all.hear(stop(3), 900);
    assert.deepEqual([all.lapse(1000), all.allowance(ALL)], [[], 0]);
    all.hear(wholeBusy({ seq: 4 }), 1900);
    assert.equal(all.allowance(ALL), 1, 'it has lapsed, whether or not that was looked at');
  });

  it('lasts no longer than any other word is heeded', () => {
    const all = new RecipientFlows(RULES);
    all.hear(stop(1, 4_000_000_000), 0);
    assert.deepEqual([all.nextLapseMs, all.lapse(RULES.busyMaxMs)], [RULES.busyMaxMs, [ALL]]);
  });
});

describe('control frames', () => {
  const frame = (more: Partial<PeerFrame>) => PeerFrame.encode(PeerFrame.fromPartial(more)).finish();
  const said = {
    agent: 'a_bob',
    name: 'Bob',
    node: 'n_far',
    nodeName: 'Far',
    queueDepth: 9,
    reason: 'queue_full',
    retryAfterMs: 50,
    seq: 4,
  };

  it('of a node count for its own agents, of a router for any, of the registry as news', () => {
    const whose = { agent: 'a_bob', name: 'Bob', node: 'far', seq: 4 };
    const heard = { kind: 'busy', ...whose, reason: 'queue_full', retryAfterMs: 50 };
    assert.deepEqual(peerSignal('n_far', frame({ busy: said })), { ...heard, publisher: 'n_far' });
    assert.deepEqual(peerSignal('router', frame({ busy: said })), { ...heard, publisher: 'router' });
    const may = { kind: 'ready', ...whose, publisher: 'n_far', credits: 3 };
    assert.deepEqual(peerSignal('n_far', frame({ ready: { ...said, credits: 3 } })), may);
    assert.deepEqual(peerSignal('registry', frame({ nudge: 'drain' })), { kind: 'nudge', why: 'drain' });
  });

  it('say nothing when somebody has no say in it, when they make no sense, or cannot be read', () => {
    const all = { ...said, agent: '', reason: 'rate_limited' };
    const nothing: [string, Partial<PeerFrame>][] = [
      ['n_near', { busy: said }],
      ['n_near', { ready: { ...said, credits: 3 } }],
      ['delivery', { busy: said }],
      ['n_far', { busy: { ...said, retryAfterMs: 0 } }],
      ['n_far', { busy: { ...said, reason: '' } }],
      ['n_far', { busy: { ...said, reason: 'rate_limited' } }],
      ['n_far', { busy: { ...said, name: 'no name' } }],
      ['n_far', { busy: { ...said, nodeName: '' } }],
      ['n_far', { busy: { ...said, agent: 'a.b' } }],
      ['n_far', { busy: all }],
      ['n_far', { busy: { ...all, reason: 'ingress_budget' } }],
      ['router', { busy: { ...said, reason: 'ingress_budget' } }],
      ['router', { busy: { ...all, reason: 'queue_full' } }],
      ['n_far', { nudge: 'drain' }],
      ['router', { nudge: 'drain' }],
      ['n_far', {}],
    ];
    for (const [from, more] of nothing) assert.equal(peerSignal(from, frame(more)), undefined);
    for (const reason of ['rate_limited', 'unfair_share', 'ingress_budget'])
      assert.equal(peerSignal('router', frame({ busy: { ...all, reason } }))?.kind, 'busy');
    const whole = frame({ busy: said });
    for (let length = 0; length < whole.length; length++)
      assert.equal(peerSignal('n_far', whole.subarray(0, length)), undefined, `cut at ${length}`);
    for (const data of ['moved', '{"error":1}', '\u0012\u0003abc'])
      assert.equal(peerSignal('router', new TextEncoder().encode(data)), undefined);
  });
});
