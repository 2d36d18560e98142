/**
 * Goal: whatever recipients say and whenever, nothing is lost or sent twice, order is kept for each sender, address and
 * level, and a busy recipient has one message in flight beyond its credits. Method: random courses of sends, frames,
 * receipts and time against the outbox, with a model of what each recipient permits.
 */

import assert from 'node:assert/strict';
import { LIMITS } from '@fleetwire/contract';
import { Receipt } from '@fleetwire/gen/message';
import type { PriorityLevel } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Outbox } from '../src/domain/outbox.ts';
import type { OutboxPack } from '../src/domain/outbox-pack.ts';
import type { WaitingRow } from '../src/domain/outbox-row.ts';
import { RecipientFlows } from '../src/domain/recipient-flow.ts';
import { busy, ready, wholeBusy } from './frames.ts';

const BOUNDS = { messagesPerAgent: 1e6, messagesPerRecipient: 1e6, bytes: 1e9, historyMessages: 1e6 };
const RETRY_MS = 100;
const LAPSE_MS = 40;
const END_OF_TIME = 1e9;

type Step =
  | { do: 'push'; agent: number; lane: string; node?: 'far' | 'near' | undefined; level: number; ttl: number }
  | { do: 'busy' | 'moved'; lane: string }
  | { do: 'ready'; lane: string; credits: number }
  | { do: 'slow' | 'pack' | 'settle' | 'expire' }
  | { do: 'receipt'; which: number; full: boolean }
  | { do: 'wait'; ms: number };

const lane = fc.constantFrom('ann', 'bob', 'cid');
const lanes = fc.oneof({ weight: 4, arbitrary: lane }, { weight: 1, arbitrary: fc.constant('') });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('push' as const),
      agent: fc.nat(2),
      lane: lanes,
      node: fc.constantFrom(undefined, undefined, 'far' as const, 'near' as const),
      level: fc.nat(3),
      ttl: fc.integer({ min: 1, max: 400 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('busy' as const, 'moved' as const), lane }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ready' as const), lane, credits: fc.nat(3) }) },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constantFrom('pack', 'pack', 'settle', 'settle', 'expire', 'slow') }),
  } as { weight: number; arbitrary: fc.Arbitrary<Step> },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('receipt' as const), which: fc.nat(), full: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 150 }) }),
  },
);

/** What a recipient permits, as this test understands it. */
interface Permit {
  node: string;
  credits: number;
  untilMs: number;
  busy: boolean;
  inFlight: string | undefined;
  refused: boolean;
}

class Course {
  readonly outbox: Outbox;
  readonly permits = new Map<string, Permit>();
  readonly pushed = new Map<string, WaitingRow>();
  readonly gone = new Map<string, 'sent' | 'expired'>();
  readonly lastSeq = new Map<string, number>();
  readonly packs: OutboxPack[] = [];
  readonly ids = new Set<string>();
  readonly disk = new Set<number>();
  nowMs = 0;
  seq = 0;

  constructor() {
    const rules = { busyMaxMs: 1e6, creditLapseMs: LAPSE_MS, recipientsMax: 100 };
    this.outbox = new Outbox(BOUNDS, new RecipientFlows(rules));
  }

  take(one: Step): void {
    if (one.do === 'push') this.#push(one);
    else if (one.do === 'busy' || one.do === 'moved' || one.do === 'ready') this.#hear(one);
    else if (one.do === 'receipt') this.#receipt(one.which, one.full);
    else if (one.do === 'wait') this.#wait(one.ms);
    else if (one.do === 'slow') this.#slow();
    else if (one.do === 'pack') this.#pack();
    else if (one.do === 'settle') this.#settle();
    else this.#expire();
  }

  #slow(): void {
    this.#permit('', 'router', { credits: 0, busy: true, refused: false, untilMs: this.nowMs + RETRY_MS });
    this.outbox.hear(wholeBusy({ seq: ++this.seq, retryAfterMs: RETRY_MS }), this.nowMs);
  }

  #push({ agent, lane, node, level, ttl }: Extract<Step, { do: 'push' }>): void {
    const seq = ++this.seq;
    const row = {
      seq,
      id: `m${seq}`,
      agent,
      local: false,
      envelope: new Uint8Array(1 + (seq % 7)),
      lane,
      node: lane === '' ? undefined : node,
      level: level as PriorityLevel,
      deadlineUs: (this.nowMs + ttl) * 1000,
    };
    this.outbox.push(row);
    this.pushed.set(row.id, row);
    this.disk.add(seq);
  }

  #hear(one: Extract<Step, { do: 'busy' | 'moved' | 'ready' }>): void {
    const seq = ++this.seq;
    if (one.do === 'ready') {
      const change = { credits: one.credits, busy: false, refused: false, untilMs: this.nowMs + LAPSE_MS };
      this.#permit(one.lane, 'far', change);
      this.outbox.hear(ready(one.lane, one.credits, { seq }), this.nowMs);
      return;
    }
    const node = one.do === 'busy' ? 'far' : 'near';
    this.#permit(one.lane, node, { credits: 0, busy: true, untilMs: this.nowMs + RETRY_MS });
    this.outbox.hear(busy(one.lane, { seq, node, retryAfterMs: RETRY_MS }), this.nowMs);
  }

  #permit(of: string, node: string, change: Partial<Permit>): void {
    const before = this.permits.get(of);
    const fresh = { node, credits: 0, untilMs: 0, busy: true, inFlight: undefined, refused: false };
    this.permits.set(of, { ...(before?.node === node ? before : fresh), ...change });
  }

  #wait(ms: number): void {
    this.nowMs += ms;
    for (const [of, permit] of this.permits) {
      if (permit.untilMs > this.nowMs) continue;
      if (of === '' || !permit.busy) this.permits.delete(of);
      else {
        const until = this.nowMs + LAPSE_MS;
        Object.assign(permit, { busy: false, inFlight: undefined, refused: false, untilMs: until });
      }
    }
    this.outbox.lapse(this.nowMs);
  }

  #pack(): void {
    const before = this.packs.at(-1);
    const pack = this.outbox.nextPack();
    if (before !== undefined) assert.equal(pack, before, 'one pack at a time');
    else if (pack === undefined) this.#allWaits();
    else this.#send(pack);
  }

  #send(pack: OutboxPack): void {
    assert.ok(pack.rows.length > 0 && pack.rows.length <= LIMITS.packMessages);
    assert.ok(!this.ids.has(pack.id), 'no two packs have one id');
    this.ids.add(pack.id);
    this.packs.push(pack);
    const all = this.permits.get('');
    if (all !== undefined) assert.equal(pack.rows.length, 1);
    for (const row of pack.rows) {
      this.#leaves(row, 'sent');
      if (all !== undefined) this.#spend(all, row);
      const permit = row.lane === '' ? undefined : this.permits.get(row.lane);
      if (permit !== undefined && (row.node ?? permit.node) === permit.node) this.#spend(permit, row);
    }
  }

  /** Nothing that may go is left behind. */
  #allWaits(): void {
    const stopped = (permit: Permit | undefined) =>
      permit !== undefined && permit.credits === 0 && (permit.inFlight !== undefined || permit.refused);
    if (stopped(this.permits.get(''))) return;
    for (const { id, lane, node } of this.pushed.values()) {
      if (this.gone.has(id)) continue;
      const permit = lane === '' ? undefined : this.permits.get(lane);
      assert.ok(stopped(permit) && (node ?? permit!.node) === permit!.node, `${id} to ${lane} may go`);
    }
  }

  #spend(permit: Permit, row: WaitingRow): void {
    if (permit.credits > 0) permit.credits--;
    else {
      assert.deepEqual([permit.inFlight, permit.refused], [undefined, false], `${row.id} to ${row.lane}`);
      permit.inFlight = row.id;
    }
  }

  #leaves(row: WaitingRow, how: 'sent' | 'expired'): void {
    assert.equal(this.gone.get(row.id), undefined, `${row.id} leaves once`);
    this.gone.set(row.id, how);
    if (how === 'expired') return;
    const key = [row.agent, row.lane, row.node, row.level].join();
    assert.ok(row.seq > (this.lastSeq.get(key) ?? 0), `${row.id} keeps its place`);
    this.lastSeq.set(key, row.seq);
  }

  #settle(): void {
    const pack = this.packs.pop();
    if (pack === undefined) return;
    for (const { first, last } of this.outbox.settle(pack))
      for (let seq = first; seq <= last; seq++) assert.ok(this.disk.delete(seq), `${seq} was of the pack`);
    for (const { seq } of pack.rows) assert.ok(!this.disk.has(seq));
  }

  #receipt(which: number, full: boolean): void {
    const sent = [...this.gone].filter(([, how]) => how === 'sent');
    const id = sent[which % Math.max(1, sent.length)]?.[0];
    if (id === undefined) return;
    for (const [of, permit] of this.permits) {
      if (permit.inFlight !== id) continue;
      permit.inFlight = undefined;
      permit.refused = full && of !== '';
    }
    const reason = full ? 'QUEUE_FULL' : '';
    this.outbox.heard([Receipt.fromPartial({ messageId: id, final: true, reason })]);
  }

  #expire(): void {
    for (const { row } of this.outbox.takeExpired(this.nowMs * 1000)) {
      assert.ok(row.deadlineUs <= this.nowMs * 1000);
      assert.ok(this.permits.has(row.lane), 'only what waits for somebody busy expires here');
      this.#leaves(row, 'expired');
      this.disk.delete(row.seq);
    }
  }

  /** Everybody falls silent: all goes. */
  finish(): void {
    for (let i = 0; i < 3; i++) this.take({ do: 'wait', ms: END_OF_TIME });
    assert.equal(this.outbox.held.length, 0);
    do {
      this.take({ do: 'settle' });
      this.take({ do: 'pack' });
    } while (this.packs.length > 0);
    assert.deepEqual([...this.gone.keys()].sort(), [...this.pushed.keys()].sort());
    assert.deepEqual([this.outbox.depth, this.disk.size], [0, 0]);
    // Nothing of what was counted is left.
    assert.equal(this.outbox.refusal(0, BOUNDS.bytes, { lane: '', node: undefined }, 0), undefined);
  }
}

describe('the outbox, whatever recipients say', function () {
  this.timeout(60_000);

  it('loses nothing, keeps the order, and sends no more than each permits', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 300 }), (steps) => {
        const course = new Course();
        for (const one of steps) course.take(one);
        course.finish();
      }),
      { numRuns: 400 },
    );
  });
});
