/**
 * Goal: traces read as the message went; page tokens, column texts and the sweep's plan keep their promises.
 * Method: small cases, and laws where one can be stated.
 */

import assert from 'node:assert/strict';
import { Envelope, Stage } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { COLUMN_CHARS_MAX, columnText } from '../src/domain/column-text.ts';
import { expiryReceipts, TTL_EXPIRED } from '../src/domain/expiry.ts';
import { readPageToken, writePageToken } from '../src/domain/page-token.ts';
import { isPoison } from '../src/domain/poison.ts';
import { SweepPlan } from '../src/domain/sweep-plan.ts';
import { assembleTrace } from '../src/domain/trace.ts';
import { BOB, envelope, hop, NODE_A, NODE_B, ORG } from './sample-traffic.ts';

describe('trace', () => {
  const acceptance = { node: NODE_A, acceptedAtUs: 100, ingressAtUs: 1600 };
  const bob = [hop(Stage.ACCEPTED, NODE_A, 100), hop(Stage.ROUTED, 'r1', 500), hop(Stage.HELD, NODE_B, 450)];

  it('counts from 1, gives the acceptance once, and the time since the hop before', () => {
    const trace = assembleTrace(acceptance, [{ recipient: 'a_bob', hops: bob }]);
    assert.deepEqual(
      trace.map((t) => [t.sequence, t.recipient, t.hop?.stage, t.sincePreviousUs]),
      [
        [1, '', Stage.ACCEPTED, 0],
        [2, 'a_bob', Stage.ROUTED, 400],
        [3, 'a_bob', Stage.HELD, 0],
      ],
    );
    assert.equal(trace[0]?.hop?.detail, 'in ingress 1.5 ms later');
  });

  it('measures each recipient from the acceptance', () => {
    const carol = [hop(Stage.ROUTED, 'r1', 700)];
    const trace = assembleTrace(acceptance, [
      { recipient: 'a_carol', hops: carol },
      { recipient: 'a_bob', hops: bob },
    ]);
    assert.deepEqual(
      trace.map((t) => [t.recipient, t.sincePreviousUs]),
      [
        ['', 0],
        ['a_bob', 400],
        ['a_bob', 0],
        ['a_carol', 600],
      ],
    );
  });

  it('shows at the hop that confirms what it goes by', () => {
    const proof = {
      source: 'tmux',
      matched: 'seen',
      injectedAtUs: 15,
      detectedAtUs: 19,
      place: 'p',
      attempt: 0,
    };
    const hops = [hop(Stage.DELIVERED, NODE_B, 15), hop(Stage.CONFIRMED, NODE_B, 20)];
    const trace = assembleTrace(undefined, [{ recipient: 'a_1', hops, proof }]);
    assert.deepEqual(
      trace.map((t) => t.proof),
      [undefined, proof],
    );
  });
  it('takes the acceptance from a receipt while history is missing, and does without where nothing tells', () => {
    const told = assembleTrace(undefined, [{ recipient: 'a_bob', hops: bob }]);
    assert.deepEqual([told.length, told[0]?.hop?.stage, told[0]?.recipient], [3, Stage.ACCEPTED, '']);
    const untold = assembleTrace(undefined, [{ recipient: 'a_bob', hops: bob.slice(1) }]);
    assert.deepEqual([untold.length, untold[0]?.sequence, untold[0]?.sincePreviousUs], [2, 1, 0]);
    assert.deepEqual(assembleTrace(undefined, []), []);
  });
});

describe('page token', () => {
  const question = { org: 'o_1', text: 'a' };

  it('reads back what it wrote, for the same question', () => {
    const id = '01k5ghw3vm8c6x1t2y4z5a6b7c';
    assert.equal(readPageToken(writePageToken(id, question), question), id);
    assert.equal(readPageToken('', question), undefined);
  });

  it('refuses anything else with a reason', () => {
    const refused = (text: string) =>
      assert.throws(
        () => readPageToken(text, question),
        (e: unknown) => e instanceof FleetwireError && e.reason === 'INVALID_PAGE_TOKEN',
      );
    fc.assert(fc.property(fc.string({ minLength: 1 }), refused));
    refused(writePageToken('01k5ghw3vm8c6x1t2y4z5a6b7c', { ...question, text: 'b' }));
  });
});

describe('column text', () => {
  it('has no NUL, is bounded, and leaves other short texts alone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const column = columnText(text);
        assert.ok(!column.includes('\0') && column.length <= COLUMN_CHARS_MAX);
        if (text.length <= COLUMN_CHARS_MAX && !text.includes('\0')) assert.equal(column, text);
      }),
    );
  });
});

describe('poison', () => {
  const coded = (code: string) => Object.assign(new Error('x'), { code });
  it('is a fault of a value, also as a cause', () => {
    assert.ok(isPoison(coded('22021')));
    assert.ok(isPoison(new Error('wrapped', { cause: coded('54000') })));
  });
  it('is not a database that is away, full, locked or wrong', () => {
    for (const code of ['57P01', '53100', '40P01', '42P01', '08006', 'ECONNREFUSED', '23'])
      assert.ok(!isPoison(coded(code)), code);
    assert.ok(!isPoison(undefined));
  });
});

describe('sweep plan', () => {
  const item = (sequence: number, deadlineUs: number) => ({
    sequence,
    deadlineUs,
    firstDeadlineUs: deadlineUs - 1,
  });

  it('knows the earliest deadline of what waits, and how far it has read', () => {
    const plan = new SweepPlan(10);
    assert.deepEqual([plan.firstDeadlineUs, plan.readTo], [Number.POSITIVE_INFINITY, 0]);
    plan.watch(item(1, 50));
    plan.watch(item(2, 20));
    plan.reached(3);
    plan.rewind();
    assert.deepEqual([plan.firstDeadlineUs, plan.readTo], [19, 2]);
    plan.due(20, 10);
    assert.equal(plan.firstDeadlineUs, 49);
  });

  it('gives each watched message once, in the order of deadlines, and never before its time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 60 }), fc.array(fc.nat(60)), (deadlines, times) => {
        const plan = new SweepPlan(1000);
        for (const [i, deadlineUs] of deadlines.entries()) plan.watch(item(i + 1, deadlineUs));
        plan.rewind();
        for (const [i, deadlineUs] of deadlines.entries()) plan.watch(item(i + 1, deadlineUs));
        const seen = new Set<number>();
        for (const nowUs of [...times].sort((a, b) => a - b).concat(60)) {
          const due = plan.due(nowUs, 1000);
          const order = due.map((d) => d.deadlineUs);
          assert.deepEqual(
            order,
            [...order].sort((a, b) => a - b),
          );
          for (const { sequence, deadlineUs } of due) {
            assert.ok(deadlineUs <= nowUs && !seen.has(sequence));
            seen.add(sequence);
          }
        }
        assert.equal(seen.size, deadlines.length);
      }),
    );
  });

  it('is bounded in what it gives and in what it holds', () => {
    const plan = new SweepPlan(3);
    for (let i = 1; plan.hasRoom(); i++) plan.watch(item(i, i));
    assert.equal(plan.watched, 3);
    assert.equal(plan.due(100, 2).length, 2);
    assert.equal(plan.cursor, 4);
  });
});

describe('expiry', () => {
  it('makes a final receipt with the whole way for each recipient', () => {
    const message = envelope({ ttlMs: 1500 });
    const entry = {
      envelope: Envelope.encode(message).finish(),
      recipients: [BOB, 'a_carol'],
      ingressAtUs: 1,
      ingressSeq: 1,
      routedAtUs: message.acceptedAtUs + 5,
      router: 'router-1',
      deadlineUs: 9,
      routeEpoch: 1,
      movedEpoch: 0,
    };
    const made = expiryReceipts(entry, 'delivery-1', message.acceptedAtUs + 9);
    assert.deepEqual(
      made.map(({ org, toNode, receipt }) => [org, toNode, receipt.recipient, receipt.reason]),
      [
        [ORG, NODE_A, BOB, TTL_EXPIRED],
        [ORG, NODE_A, 'a_carol', TTL_EXPIRED],
      ],
    );
    const { stage, final, hops } = made[0]!.receipt;
    assert.deepEqual([stage, final], [Stage.EXPIRED, true]);
    assert.deepEqual(
      hops.map((h) => h.stage),
      [Stage.ACCEPTED, Stage.ROUTED, Stage.EXPIRED],
    );
  });
});
