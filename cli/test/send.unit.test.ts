// Goal: exit code 0 of `send --wait` means delivered; everything else has the reason and kind of its end. Bodies are
// read up to their limit and no further. A waterfall shows each hop.
// Method: made-up receipts, streams and traces.

import { strict as assert } from 'node:assert';
import { LIMITS } from '@fleetwire/contract';
import { TraceMessageResponse } from '@fleetwire/gen/delivery';
import { Hop, Receipt, Stage } from '@fleetwire/gen/message';
import { Command } from 'commander';
import { describe, it } from 'mocha';
import { addSendCommand, failureOf, linesOf, readBody } from '../src/commands/send.ts';
import { waterfall } from '../src/waterfall.ts';

const receipt = (stage: Stage, more: Partial<Receipt> = {}) =>
  Receipt.fromPartial({ stage, final: true, recipientName: 'bob', ...more });

const SETTLED = { done: true, heldBackFor: '' };
const OPEN = { done: false, heldBackFor: '' };

describe('a stage that is waited for', () => {
  const wanted = (wait: string) => {
    const program = new Command().exitOverride();
    let seen: unknown;
    addSendCommand(program, () => async (...given: unknown[]) => {
      seen = (given[2] as { wait?: unknown }).wait;
    });
    program.parse(['send', 'bob', 'hi', '--wait', wait], { from: 'user' });
    return seen;
  };
  const on = (stage: Stage, final: boolean, ...hops: Stage[]) =>
    receipt(stage, { final, recipient: 'a_bob', hops: hops.map((each) => Hop.fromPartial({ stage: each })) });

  it('is one of five, or the end within some seconds', () => {
    assert.deepEqual(wanted('confirmed'), { until: Stage.CONFIRMED, seconds: undefined });
    assert.deepEqual(wanted('Routed'), { until: Stage.ROUTED, seconds: undefined });
    assert.deepEqual(wanted('30'), { until: Stage.UNSPECIFIED, seconds: 30 });
    for (const bad of ['expired', '0', '3601', '-1', '1.5', ''])
      assert.throws(() => wanted(bad), /not usable/);
  });
  it('was reached though the end came after it, and not where the end came before', () => {
    const expired = on(Stage.EXPIRED, true, Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.EXPIRED);
    const waited = { receipts: [{ ...expired, reason: 'TTL_EXPIRED' }], final: true, ...SETTLED };
    assert.equal(failureOf('id', waited, 5, Stage.HELD), undefined);
    assert.equal(failureOf('id', waited, 5, Stage.DELIVERED)?.reason, 'TTL_EXPIRED');
    const unproven = { receipts: [on(Stage.UNCONFIRMED, true, Stage.DELIVERED)], final: true, ...OPEN };
    assert.equal(failureOf('id', unproven, 5, Stage.DELIVERED), undefined);
    assert.equal(failureOf('id', unproven, 5, Stage.CONFIRMED)?.reason, 'NOT_DELIVERED');
  });
  it('that does not come in time says who is open, or busy', () => {
    const count = receipt(Stage.ROUTED, { final: false, fanOut: 3, recipientName: '' });
    const carol = receipt(Stage.HELD, { final: false, recipient: 'a_carol', recipientName: 'carol' });
    const receipts = [count, on(Stage.CONFIRMED, true), carol];
    const open = failureOf('id', { receipts, final: false, ...OPEN }, 5, Stage.CONFIRMED);
    assert.equal(
      open?.message,
      'not settled within 5 s: open are carol (held), 1 of whom nothing was heard; it goes on by itself',
    );
    const busy = failureOf('id', { receipts: [], final: false, done: false, heldBackFor: 'bob' }, 5);
    assert.match(busy?.message ?? '', /it waits on this node, for bob is busy/);
  });
});

describe('the end of a message', () => {
  it('is no failure when the agent has it, or no proof can be had', () => {
    for (const stage of [Stage.CONFIRMED, Stage.DELIVERED])
      assert.equal(failureOf('id', { receipts: [receipt(stage)], final: true, ...SETTLED }, 5), undefined);
  });
  it('has the reason of the receipt and a kind that fits it', () => {
    const cases: [Stage, string, string][] = [
      [Stage.DEAD, 'UNKNOWN_AGENT', 'not_found'],
      [Stage.RETURNED, 'INBOX_FULL', 'resource_exhausted'],
      [Stage.EXPIRED, 'TTL_EXPIRED', 'deadline_exceeded'],
      [Stage.UNCONFIRMED, 'NOT_TAKEN_UP', 'failed_precondition'],
      [Stage.UNCONFIRMED, '', 'failed_precondition'],
    ];
    for (const [stage, reason, kind] of cases) {
      const failure = failureOf('m1', { receipts: [receipt(stage, { reason })], final: true, ...SETTLED }, 5);
      assert.deepEqual([failure?.kind, failure?.reason], [kind, reason || 'NOT_DELIVERED']);
      assert.match(failure?.help ?? '', /fleetwire trace m1/);
    }
  });
  it('is not known yet when the wait was too short', () => {
    const held = receipt(Stage.HELD, { final: false });
    assert.equal(failureOf('id', { receipts: [held], final: false, ...OPEN }, 5)?.reason, 'NOT_SETTLED_YET');
  });
  it('to many says to how many first', () => {
    const count = receipt(Stage.ROUTED, { final: false, to: '#ops', fanOut: 2, recipientName: '' });
    assert.deepEqual(linesOf([count]), ['routed to 2 recipients on other nodes']);
    assert.deepEqual(linesOf([{ ...count, fanOut: 0 }]), []);
    assert.equal(
      failureOf('id', { receipts: [count, receipt(Stage.CONFIRMED)], final: true, ...SETTLED }, 5),
      undefined,
    );
    const nobody = receipt(Stage.DEAD, { reason: 'NO_RECIPIENTS' });
    assert.equal(failureOf('id', { receipts: [nobody], final: true, ...SETTLED }, 5)?.kind, 'not_found');
  });
  it('to many is good when each of them has it, and tells who has it not', () => {
    const [bob, carol] = ['bob', 'carol'].map((name) => ({ recipient: `a_${name}`, recipientName: name }));
    const count = receipt(Stage.ROUTED, { final: false, to: '#ops', fanOut: 2, recipientName: '' });
    const has = receipt(Stage.CONFIRMED, bob);
    const returned = receipt(Stage.RETURNED, { ...carol, reason: 'QUEUE_FULL' });
    const receipts = [count, has, returned];
    const failure = failureOf('id', { receipts, final: true, ...SETTLED }, 5);
    assert.deepEqual([failure?.kind, failure?.reason], ['resource_exhausted', 'QUEUE_FULL']);
    assert.equal(failure?.message, '1 of 2 do not have it; carol: returned: QUEUE_FULL');
    assert.deepEqual(linesOf(receipts).slice(1), ['confirmed by bob', 'returned by carol (QUEUE_FULL)']);
  });
  it('to a channel that is not there says so', () => {
    const to = { recipientName: '', to: '#opps', detail: 'no channel "opps" in your org' };
    const dead = receipt(Stage.DEAD, { reason: 'UNKNOWN_CHANNEL', ...to });
    const failure = failureOf('id', { receipts: [dead], final: true, ...SETTLED }, 5);
    assert.deepEqual([failure?.kind, failure?.message], ['not_found', 'dead: no channel "opps" in your org']);
  });
  it('shows in one harmless line', () => {
    const hops = [{ atUs: 1000 }, { atUs: 3500 }];
    const [line] = linesOf([Receipt.fromPartial({ ...receipt(Stage.CONFIRMED), hops, detail: 'x\u001by' })]);
    assert.equal(line, 'confirmed by bob after 2.5 ms (x\\u{1b}y)');
  });
});

describe('the priority of a message', () => {
  const priorities = (...args: string[]) => {
    const program = new Command().exitOverride();
    const seen: unknown[] = [];
    addSendCommand(program, () => async (...given: unknown[]) => {
      seen.push((given[2] as { priority?: string }).priority);
    });
    program.parse(['send', 'bob', 'hi', ...args], { from: 'user' });
    return seen[0];
  };
  it('is one of four, or not said', () => {
    for (const level of ['low', 'normal', 'high', 'system'])
      assert.equal(priorities('--priority', level), level);
    assert.equal(priorities(), undefined);
  });
  it('is refused when it is none', () => {
    for (const level of ['', 'HIGH', 'urgent', '3', '-1', 'constructor'])
      assert.throws(() => priorities(`--priority=${level}`), { reason: 'INVALID_OPTION' });
  });
});

describe('reading a body', () => {
  const stream = async function* (sizes: readonly number[], taken: number[] = []) {
    for (const size of sizes) {
      taken.push(size);
      yield Buffer.alloc(size);
    }
  };
  it('takes what fits, to the byte', async () => {
    const half = LIMITS.bodyBytes / 2;
    assert.equal((await readBody(stream([half, half]))).length, LIMITS.bodyBytes);
    assert.equal((await readBody(stream([]))).length, 0);
  });
  it('stops reading where it is too large', async () => {
    const taken: number[] = [];
    const reading = readBody(stream([LIMITS.bodyBytes, 1, 1, 1], taken));
    await assert.rejects(reading, (error: { reason?: string }) => error.reason === 'BODY_TOO_LARGE');
    assert.equal(taken.length, 2);
  });
});

describe('the waterfall', () => {
  const trace = (hops: readonly { stage: Stage; atUs: number; detail?: string }[]) =>
    TraceMessageResponse.fromPartial({
      message: { id: 'm1', fromName: 'alice', to: 'bob', correlationId: 'c' },
      traceId: 'f'.repeat(32),
      hops: hops.map((hop, i) => ({
        sequence: i + 1,
        hop: { service: 'node', instance: 'n', ...hop },
        sincePreviousUs: i === 0 ? 0 : hop.atUs - hops[i - 1]!.atUs,
      })),
    });
  it('has a line for each hop, with its time and a bar that grows to the right', () => {
    const lines = waterfall(
      trace([
        { stage: Stage.ACCEPTED, atUs: 1_000_000 },
        { stage: Stage.ROUTED, atUs: 1_001_000 },
        { stage: Stage.CONFIRMED, atUs: 1_004_000, detail: 'seen\nthere' },
      ]),
    );
    assert.match(lines[0]!, /message m1 {2}alice -> bob/);
    const [accepted, routed, confirmed] = lines.slice(3);
    assert.match(accepted!, / 1 {2}accepted .*\+0\.00 ms {2}\|o +\|$/);
    assert.match(routed!, / 2 {2}routed .*\+1\.00 ms {2}\|={8}o +\|$/);
    assert.match(confirmed!, / 3 {2}confirmed .*\+3\.00 ms {2}\| {8}={24}o\| seen\\u\{a\}there$/);
  });
  it('shows below a confirmation what it goes by, and no control character of it', () => {
    const proof = { source: 'tmux', matched: 'bob> \u001b[2Jx', injectedAtUs: 2_000, detectedAtUs: 27_940 };
    const place = 'pane %3, process 77';
    const shown = (detail: string) => {
      const hop = { stage: Stage.CONFIRMED, atUs: 30_000, detail };
      const [only] = trace([hop]).hops;
      return waterfall({ ...trace([]), hops: [{ ...only!, proof: { ...proof, place, attempt: 0 } }] }).at(-1);
    };
    const seen = '    seen by tmux in pane %3, process 77 25.94 ms after it was handed over';
    assert.equal(shown('bob> \u001b[2Jx'), seen);
    assert.equal(shown('acknowledged'), `${seen}: bob> \\u{1b}[2Jx`);
  });
  it('names each of several recipients above its hops', () => {
    const hop = (sequence: number, recipient: string) => ({
      sequence,
      recipient,
      hop: { stage: Stage.HELD, service: 'node', instance: 'n', atUs: 1 },
    });
    const many = TraceMessageResponse.fromPartial({
      message: { id: 'm1', to: '#ops', settlements: [{ recipient: 'a_1', recipientName: 'bob' }] },
      hops: [hop(1, ''), hop(2, 'a_1'), hop(3, 'a_1'), hop(4, 'a_2')],
    });
    const lines = waterfall(many).slice(3);
    assert.deepEqual([lines.length, lines[1], lines[4]], [6, '    to bob', '    to a_2']);
  });
  it('says when there is none, and bears hops at one instant', () => {
    assert.equal(waterfall(trace([])).at(-1), 'no hop is recorded yet');
    assert.equal(waterfall(trace([{ stage: Stage.ACCEPTED, atUs: 5 }])).length, 4);
  });
});
