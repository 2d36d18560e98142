/**
 * Goal: what of the outbox goes first, what is refused to whom and with which reason, and what it tells of busy recipients.
 * Method: an outbox with small bounds; `outbox-model` has the laws for any course of events.
 */

import assert from 'node:assert/strict';
import { LIMITS } from '@fleetwire/contract';
import type { PriorityLevel } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { Outbox, type OutboxBounds } from '../src/domain/outbox.ts';
import { packOf, seqRuns } from '../src/domain/outbox-pack.ts';
import type { WaitingRow } from '../src/domain/outbox-row.ts';
import { RecipientFlows } from '../src/domain/recipient-flow.ts';
import { busy, ready, wholeBusy } from './frames.ts';

const BOUNDS = { messagesPerAgent: 10, messagesPerRecipient: 4, bytes: 10_000, historyMessages: 5 };
const ALICE = 1;
const CAROL = 2;
const LEVELS: PriorityLevel[] = [0, 1, 2, 3];
const to = (lane: string) => ({ lane, node: undefined });

let lastSeq = 0;
function row(lane: string, more: Partial<WaitingRow> = {}): WaitingRow {
  const seq = ++lastSeq;
  const who = { seq, id: `m${seq}`, agent: ALICE, local: false, envelope: new Uint8Array(10) };
  return { ...who, lane, node: undefined, level: 1, deadlineUs: Number.MAX_SAFE_INTEGER, ...more };
}

describe('outbox', () => {
  const outboxOf = (more: Partial<OutboxBounds> = {}) =>
    new Outbox(
      { ...BOUNDS, ...more },
      new RecipientFlows({ busyMaxMs: 60_000, creditLapseMs: 500, recipientsMax: 100 }),
    );
  const reasonFor = (outbox: Outbox, agent: number, lane: string, size = 10) =>
    outbox.refusal(agent, size, to(lane), 0)?.reason;
  const large = { messagesPerAgent: 1e5, messagesPerRecipient: 1e5, bytes: 1e9 };

  it('gives each level its part of a pack, the lowest too, and keeps the order within each', () => {
    const outbox = outboxOf(large);
    for (let i = 0; i < 300; i++) for (const level of LEVELS) outbox.push(row('bob', { level }));
    const { rows } = outbox.nextPack()!;
    assert.equal(rows.length, LIMITS.packMessages);
    const counts = LEVELS.map((level) => rows.filter((one) => one.level === level).length);
    for (const [level, part] of [1, 2, 4, 8].entries())
      assert.ok(Math.abs(counts[level]! - (256 * part) / 15) <= 1, `level ${level}: ${counts[level]}`);
    for (const level of LEVELS) {
      const seqs = rows.filter((one) => one.level === level).map((one) => one.seq);
      assert.deepEqual(
        seqs,
        [...seqs].sort((a, b) => a - b),
      );
    }
  });

  it('goes on with the credits that one pack could not use up', () => {
    const outbox = outboxOf(large);
    for (let i = 0; i < 400; i++) outbox.push(row('bob'));
    outbox.hear(busy('bob'), 0);
    assert.equal(outbox.hear(ready('bob', 300), 0), true);
    const sizes = [];
    for (let pack = outbox.nextPack(); pack !== undefined; pack = outbox.nextPack()) {
      sizes.push(pack.rows.length);
      outbox.settle(pack);
    }
    assert.deepEqual(sizes, [256, 45]);
  });

  it('names a pack by all its messages', () => {
    const [a, b, c, d] = [row('x'), row('x'), row('x'), row('x')];
    assert.notEqual(packOf([a, b, d]).id, packOf([a, c, d]).id);
    assert.equal(packOf([a, b, d]).id, packOf([a, b, d]).id);
    assert.notEqual(packOf([a, b]).id, packOf([b, a]).id);
  });

  it('forgets exactly what was stored', () => {
    const runs = (...seqs: number[]) => seqRuns(seqs.map((seq) => ({ seq })));
    assert.deepEqual(runs(4, 5, 6), [{ first: 4, last: 6 }]);
    assert.deepEqual(runs(9, 4, 6, 5), [
      { first: 4, last: 6 },
      { first: 9, last: 9 },
    ]);
    assert.deepEqual(runs(), []);
  });

  it('lets others pass a busy recipient, of whose mail only a part of a sender’s share may wait', () => {
    const outbox = outboxOf();
    outbox.hear(busy('Bob', { retryAfterMs: 7000 }), 0);
    for (let i = 0; i < 4; i++) outbox.push(row('bob'));
    const error = outbox.refusal(ALICE, 10, to('bob'), 1000)!;
    assert.deepEqual([error.kind, error.reason], ['resource_exhausted', 'RECIPIENT_BUSY']);
    assert.deepEqual([error.details, error.retryAfterMs], [{ to: 'Bob', waiting: '4' }, 6000]);
    assert.equal(outbox.refusal(ALICE, 10, { lane: 'bob', node: 'near' }, 0), undefined, 'another one');
    assert.deepEqual(
      [reasonFor(outbox, ALICE, 'dan'), reasonFor(outbox, CAROL, 'bob')],
      [undefined, undefined],
    );
    for (let i = 0; i < 3; i++) outbox.push(row('dan'));
    const lanes = outbox.nextPack()!.rows.map((one) => one.lane);
    assert.deepEqual(lanes.sort(), ['bob', 'dan', 'dan', 'dan']);
  });

  it('says who is busy when that is why a share is full', () => {
    const outbox = outboxOf({ messagesPerRecipient: 6 });
    for (const name of ['bob', 'dan']) outbox.hear(busy(name), 0);
    for (let i = 0; i < 6; i++) outbox.push(row('bob'));
    for (let i = 0; i < 4; i++) outbox.push(row('dan'));
    const error = outbox.refusal(ALICE, 10, to('eve'), 0)!;
    assert.deepEqual(
      [error.reason, error.details['to'], error.details['waiting']],
      ['RECIPIENT_BUSY', 'bob', '6'],
    );
    assert.equal(reasonFor(outbox, CAROL, 'eve'), undefined);
    for (let i = 0; i < 10; i++) outbox.push(row('eve', { agent: CAROL }));
    assert.equal(reasonFor(outbox, CAROL, 'eve'), 'OUTBOX_FULL');
  });

  it('has room of its own for the rest when what is held back is large', () => {
    const outbox = outboxOf({ ...large, bytes: 4000 });
    for (const name of ['b', 'c', 'd']) outbox.hear(busy(name), 0);
    outbox.push(row('b', { envelope: new Uint8Array(900) }));
    assert.equal(reasonFor(outbox, ALICE, 'b', 200), 'RECIPIENT_BUSY');
    outbox.push(row('c', { envelope: new Uint8Array(900) }));
    assert.equal(reasonFor(outbox, ALICE, 'd', 300), 'RECIPIENT_BUSY');
    assert.equal(reasonFor(outbox, ALICE, 'eve', 2000), undefined);
  });

  it('is not waited for when what fills it is held back', () => {
    const outbox = outboxOf();
    for (let i = 0; i < 8; i++) outbox.push(row('bob'));
    assert.equal(outbox.hasRoomFor(ALICE, 4), false);
    outbox.hear(busy('bob'), 0);
    assert.equal(outbox.hasRoomFor(ALICE, 4), true);
  });

  it('sends one message at a time when a router says that there is too much; copies for history need no receipt', () => {
    const outbox = outboxOf();
    outbox.push(row('', { local: true }));
    for (let i = 0; i < 2; i++) outbox.push(row('bob'));
    outbox.hear(wholeBusy(), 0);
    assert.deepEqual(outbox.held.told(outbox.depth), [
      { to: '*', reason: 'rate_limited', waiting: 3, credits: 0 },
    ]);
    for (const local of [true, false]) {
      const pack = outbox.nextPack()!;
      assert.deepEqual(
        pack.rows.map((one) => one.local),
        [local],
      );
      outbox.settle(pack);
    }
    assert.equal(outbox.nextPack(), undefined);
    assert.equal(outbox.lapse(1000), true);
    assert.equal(outbox.nextPack()!.rows.length, 1);
  });

  it('sends nothing when a router says stop, system mail and copies for history included; then all of it', () => {
    const outbox = outboxOf();
    outbox.hear(busy('dan'), 0);
    for (const more of [{}, { level: 3 }, { local: true }, { lane: 'dan' }] as const)
      outbox.push(row('bob', more));
    const under = outbox.nextPack()!;
    outbox.push(row('bob'));
    outbox.hear(wholeBusy({ reason: 'ingress_budget' }), 0);
    assert.equal(outbox.nextPack(), under, 'what may be in the stream goes again until that is known');
    outbox.settle(under);
    assert.equal(outbox.nextPack(), undefined);
    assert.equal(outbox.lapse(999), false);
    assert.equal(outbox.lapse(1000), true);
    assert.equal(outbox.nextPack()!.rows.length, 1);
  });

  it('tells for whom mail waits, and nothing of those for whom none does', () => {
    const outbox = outboxOf();
    for (const name of ['Bob', 'dan']) outbox.hear(busy(name, { reason: 'inbox_full' }), 0);
    outbox.push(row('bob'));
    outbox.push(row('bob'));
    assert.deepEqual(outbox.held.told(2), [{ to: 'Bob', reason: 'inbox_full', waiting: 2, credits: 0 }]);
    outbox.hear(ready('Bob', 7), 0);
    assert.deepEqual(outbox.held.told(2)[0]!.credits, 7);
    outbox.lapse(600);
    assert.deepEqual(outbox.held.told(2), []);
  });
});
