/**
 * Goal: what may not be routed ends with its reason, told to whom it concerns and to nobody else; what may is read
 * and forwarded byte for byte.
 * Method: one envelope at a time through a flow in memory; encodings against the generated ones; fuzzed bytes.
 */

import assert from 'node:assert/strict';
import { ingressSubject, LIMITS, receiptSubject, TTL_CAP_MS } from '@fleetwire/contract';
import {
  DeadLetter,
  Envelope,
  InboxPack,
  IngressPack,
  Receipt,
  ReceiptBatch,
  Stage,
} from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { readPack } from '../src/domain/header.ts';
import { encodeInboxPack } from '../src/domain/inbox-pack.ts';
import type { InboxItem } from '../src/domain/items.ts';
import { PartitionFlow } from '../src/domain/partition-flow.ts';
import { msgIdOf, publicationOf } from '../src/domain/publication.ts';
import {
  envelope,
  flowOf,
  idOf,
  message,
  NODE,
  NOW_US,
  ORG,
  packOf,
  route,
  suggestionsOf,
  tableOf,
} from './samples.ts';

function outcome(data: Uint8Array, nowUs = NOW_US) {
  const flow = flowOf(tableOf('alice'));
  flow.accept(message(7, data), nowUs);
  const found = { inbox: [] as InboxPack[], receipts: [] as ReceiptBatch[], dead: [] as DeadLetter[], flow };
  for (let p = flow.next(nowUs); p !== undefined; p = flow.next(nowUs)) {
    const { kind } = p.pack.items[0]!;
    for (const { subject, payload } of p.stores) {
      if (kind === 'inbox') found.inbox.push(InboxPack.decode(payload));
      else if (kind === 'dead') found.dead.push(DeadLetter.decode(payload));
      else {
        assert.equal(subject, receiptSubject.build({ org: ORG, toNode: NODE, from: 'router' }));
        found.receipts.push(ReceiptBatch.decode(payload));
      }
    }
    flow.stored(p);
  }
  return found;
}

describe('the judgement of one envelope', () => {
  it('routes good mail with its hops, byte for byte', () => {
    const { inbox, receipts, dead, flow } = outcome(packOf([{}]), NOW_US + 1500);
    assert.deepEqual([receipts.length, dead.length], [0, 0]);
    const [entry] = inbox[0]!.entries;
    assert.deepEqual(
      { ...entry, envelope: undefined },
      {
        envelope: undefined,
        recipients: ['a_alice'],
        ingressAtUs: NOW_US,
        ingressSeq: 7,
        routedAtUs: NOW_US + 1500,
        router: 'router-test',
        deadlineUs: NOW_US + 300_000_000,
        routeEpoch: 1,
        movedEpoch: 0,
      },
    );
    assert.deepEqual(new Uint8Array(entry!.envelope), Envelope.encode(envelope()).finish());
    assert.equal(flow.advance()?.sequence, 7);
  });

  it('skips what the sending node delivers itself', () => {
    const { inbox, receipts, dead, flow } = outcome(
      packOf([{ local: true, localAgent: 'a_x', to: 'nobody' }]),
    );
    assert.deepEqual([inbox.length, receipts.length, dead.length], [0, 0, 0]);
    assert.equal(flow.advance()?.sequence, 7);
  });

  it('ends what takes back mail for nobody with a receipt, and keeps no letter: it could do nothing later', () => {
    for (const [to, reason] of [
      ['alice@tower', 'NOTHING_TO_CANCEL'],
      // Somebody may have it all the same.
      ['?nobody-can', 'NO_CAPABLE_AGENT'],
    ]) {
      const { inbox, receipts, dead } = outcome(
        packOf([{ to: to!, cancels: idOf(2), body: new Uint8Array() }]),
      );
      assert.deepEqual([inbox.length, dead.length], [0, 0]);
      const [receipt] = receipts[0]!.receipts;
      assert.deepEqual([receipt?.reason, receipt?.stage, receipt?.final], [reason, Stage.RETURNED, true]);
    }
  });

  const refused: [string, Partial<Envelope>, string][] = [
    ['without a time to live', { ttlMs: 0 }, 'INVALID_TTL'],
    ['with too long a one', { ttlMs: TTL_CAP_MS + 1 }, 'INVALID_TTL'],
    ['with too large a body', { body: new Uint8Array(LIMITS.bodyBytes + 1) }, 'PAYLOAD_TOO_LARGE'],
    ['with too large a header', { contentType: 'x'.repeat(70_000) }, 'HEADER_TOO_LARGE'],
    ['to what is no address', { to: 'a b' }, 'INVALID_ADDRESS'],
    ['to the wrong node', { to: 'alice@tower' }, 'UNKNOWN_AGENT'],
  ];
  for (const [what, over, reason] of refused) {
    it(`refuses mail ${what}, and tells the sender`, () => {
      const { inbox, receipts, dead } = outcome(packOf([over]));
      assert.equal(inbox.length, 0);
      assert.deepEqual([dead[0]?.reason, dead[0]?.decoded, dead[0]?.streamSeq], [reason, true, 7]);
      const [receipt] = receipts[0]!.receipts;
      assert.deepEqual([receipt?.reason, receipt?.stage, receipt?.final], [reason, Stage.DEAD, true]);
      assert.deepEqual(
        receipt?.hops.map((hop) => [hop.stage, hop.service]),
        [
          [Stage.ACCEPTED, 'node'],
          [Stage.DEAD, 'router'],
        ],
      );
    });
  }

  const distrusted: [string, Partial<Envelope>, string][] = [
    ['in the name of another org', { org: 'o_other' }, 'FORGED_SENDER'],
    ['in the name of another node', { fromNode: 'n_other' }, 'FORGED_SENDER'],
    ['in the name of another node, marked local', { fromNode: 'n_other', local: true }, 'FORGED_SENDER'],
    ['that calls itself a replay', { attempt: 1 }, 'FORGED_ATTEMPT'],
    ['that calls itself a replay, marked local', { attempt: 1, local: true }, 'FORGED_ATTEMPT'],
    ['under an id that is none', { id: 'x' }, 'INVALID_MESSAGE_ID'],
    ['of a sender whose id is none', { fromAgent: 'a'.repeat(65) }, 'INVALID_SENDER'],
  ];
  for (const [what, over, reason] of distrusted) {
    it(`dead-letters mail ${what}, and says nothing about somebody else's message`, () => {
      const { inbox, receipts, dead } = outcome(packOf([over]));
      assert.deepEqual([inbox.length, receipts.length, dead.length], [0, 0, 1]);
      assert.equal(dead[0]?.reason, reason);
    });
  }

  it('ends what is past its time in the time of the broker, not before', () => {
    const late = outcome(packOf([{ ttlMs: 1000 }]), NOW_US + 1_000_001);
    assert.deepEqual([late.receipts[0]?.receipts[0]?.reason, late.dead.length], ['TTL_EXPIRED', 0]);
    assert.equal(outcome(packOf([{ ttlMs: 1000 }]), NOW_US + 1_000_000).inbox.length, 1);
  });

  it('keeps an envelope that it cannot read from harming the others of its pack', () => {
    const good = Envelope.encode(envelope()).finish();
    const { inbox, dead } = outcome(
      IngressPack.encode({ envelopes: [new Uint8Array([255]), good] }).finish(),
    );
    assert.equal(inbox[0]?.entries.length, 1);
    assert.deepEqual([dead[0]?.reason, dead[0]?.decoded], ['ENVELOPE_UNREADABLE', false]);
  });

  it('suggests the name that was meant', () => {
    const flow = flowOf(tableOf('alice'), () => ({ route: undefined }));
    flow.accept(message(1, packOf([{ to: 'alcie' }])), NOW_US);
    const details: string[] = [];
    for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
      const [item] = p.pack.items;
      if (item?.kind === 'receipt') details.push(item.receipt.detail);
    }
    assert.match(details[0]!, /did you mean alice\?/);
  });
});

describe('a decision that throws', () => {
  it('is taken no further, and becomes a dead letter when told to, without its neighbours', () => {
    let fault: Error | undefined = new Error('ours');
    const flow = flowOf(tableOf('alice'), (_org, folded) => {
      if (folded === 'boom' && fault) throw fault;
      return { route: undefined };
    });
    const data = packOf([{ id: idOf(1) }, { id: idOf(2), to: 'boom' }]);
    for (let i = 0; i < 2; i++) assert.throws(() => flow.accept(message(1, data), NOW_US), /ours/);
    assert.equal(flow.advance(), undefined);
    flow.accept(message(1, data), NOW_US, 'dead_letter');
    const reasons: string[] = [];
    for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
      for (const item of p.pack.items) {
        reasons.push(item.kind === 'inbox' ? 'routed' : item.kind === 'dead' ? item.letter.reason : 'told');
      }
      flow.stored(p);
    }
    assert.deepEqual(reasons.sort(), ['HANDLER_FAILED', 'routed', 'told']);
    assert.equal(flow.advance()?.sequence, 1);
    fault = undefined;
  });

  it('ignores a message that comes again', () => {
    const flow = flowOf(tableOf('alice'));
    for (let i = 0; i < 2; i++) flow.accept(message(1, packOf([{}])), NOW_US);
    assert.equal(flow.next(NOW_US)?.pack.items.length, 1);
  });

  it('refuses a message of another partition, which is a fault of ours', () => {
    const subject = ingressSubject.build({ partition: 1, org: ORG, node: NODE });
    assert.throws(() => flowOf(tableOf()).accept(message(1, packOf([{}]), { subject }), NOW_US), /partition/);
  });
});

describe('bytes', () => {
  it('of any kind never make the reader throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readPack(bytes);
        const flow = flowOf(tableOf('alice'));
        flow.accept(message(1, IngressPack.encode({ envelopes: [bytes] }).finish()), NOW_US);
        flow.accept(message(2, bytes), NOW_US);
        while (flow.next(NOW_US) !== undefined);
      }),
      { numRuns: 3000 },
    );
  });

  it('of a header are read as the generated code reads them', () => {
    const text = fc.string({ maxLength: 60 });
    const any = fc.record({
      id: fc.stringMatching(/^[a-z0-9]{1,26}$/),
      org: text,
      fromAgent: text,
      fromName: text,
      fromNode: text,
      to: text,
      correlationId: text,
      replyTo: text,
      traceparent: text,
      contentType: text,
      localAgent: text,
      acceptedAtUs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      ttlMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      local: fc.boolean(),
      body: fc.uint8Array({ maxLength: 300 }),
      priority: fc.constantFrom(0, 1, 2, 3, 4),
      localServed: fc.boolean(),
      attempt: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      cancels: text,
      answerWithinMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    });
    fc.assert(
      fc.property(any, (over) => {
        const bytes = Envelope.encode(over).finish();
        const [packed] = readPack(IngressPack.encode({ envelopes: [bytes] }).finish())!;
        const header = packed!.header!;
        const whole = Envelope.decode(bytes);
        for (const key of Object.keys(header) as (keyof typeof header)[]) {
          assert.equal(header[key], key === 'bodyBytes' ? whole.body.length : whole[key], key);
        }
        assert.deepEqual(new Uint8Array(packed!.bytes), bytes);
      }),
    );
  });

  it('of more envelopes than a pack may hold are one dead letter', () => {
    const { dead, inbox } = outcome(packOf(Array.from({ length: LIMITS.packMessagesRead + 1 }, () => ({}))));
    assert.deepEqual([dead.length, inbox.length], [1, 0]);
  });

  it('of an inbox pack are those of the generated code', () => {
    const int = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const one = fc.record({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      at: int,
      seq: int,
      routed: int,
      end: int,
      epoch: int,
      several: fc.option(fc.array(fc.stringMatching(/^a_[a-z0-9]{1,60}$/), { minLength: 2, maxLength: 40 })),
    });
    fc.assert(
      fc.property(
        fc.array(one, { minLength: 1, maxLength: 5 }),
        fc.string({ maxLength: 200 }),
        (list, router) => {
          const items = list.map(({ bytes, at, seq, routed, end, epoch, several }) => ({
            envelope: bytes,
            slot: { atUs: at, sequence: seq },
            routedAtUs: routed,
            deadlineUs: end,
            route: route('alice', { epoch }),
            recipients: several?.map((agent) => route('x', { agent })),
          })) as unknown as InboxItem[];
          const generated = InboxPack.encode({
            entries: items.map((item) => ({
              envelope: item.envelope,
              recipients: item.recipients?.map(({ agent }) => agent) ?? [item.route.agent],
              ingressAtUs: item.slot.atUs,
              ingressSeq: item.slot.sequence,
              routedAtUs: item.routedAtUs,
              router,
              deadlineUs: item.deadlineUs,
              routeEpoch: item.recipients === undefined ? item.route.epoch : 0,
              movedEpoch: 0,
            })),
            mark: undefined,
          }).finish();
          assert.deepEqual(new Uint8Array(encodeInboxPack(items, router)), generated);
        },
      ),
    );
  });
});

describe('the trace context of a pack', () => {
  it('is that of its first message, and never what could carry other headers in', () => {
    const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
    for (const traceparent of [good, '', 'x\r\nNats-Msg-Id: y', `${good}\r\n`]) {
      const flow = flowOf(tableOf('alice'));
      flow.accept(message(1, packOf([{ traceparent }, { id: idOf(2) }])), NOW_US);
      assert.equal(flow.next(NOW_US)?.stores[0]?.traceparent, traceparent === good ? good : '');
    }
  });

  it('is that of the span where the trace is sampled, and no span is begun where it is not', () => {
    const sampled = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const child = '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01';
    let begun = 0;
    let ended = 0;
    const flow = new PartitionFlow({
      partition: 0,
      router: 'router-test',
      names: { table: tableOf('alice'), known: () => undefined },
      suggest: suggestionsOf(tableOf()),
      span: () => {
        begun++;
        return { traceparent: child, end: () => void ended++ };
      },
    });
    flow.accept(
      message(1, packOf([{ traceparent: sampled }, { traceparent: sampled.replace(/1$/, '0') }])),
      NOW_US,
    );
    const publication = flow.next(NOW_US)!;
    assert.equal(publication.stores[0]?.traceparent, child);
    flow.stored(publication);
    assert.deepEqual([begun, ended], [1, 1]);
  });
});

describe('dedupe ids', () => {
  const at = (sequence: number, index: number, atUs = NOW_US) =>
    ({ slot: { sequence, atUs }, index }) as unknown as Pick<InboxItem, 'slot' | 'index'>;

  it('are the same for the same parts, and differ in anything else', () => {
    const base = msgIdOf(0, 's', [at(1, 0), at(1, 1)]);
    assert.equal(msgIdOf(0, 's', [at(1, 0), at(1, 1)]), base);
    const others = [
      msgIdOf(1, 's', [at(1, 0), at(1, 1)]),
      msgIdOf(0, 't', [at(1, 0), at(1, 1)]),
      msgIdOf(0, 's', [at(1, 0)]),
      msgIdOf(0, 's', [at(1, 0), at(1, 2)]),
      msgIdOf(0, 's', [at(1, 0), at(11, 1)]),
      msgIdOf(0, 's', [at(1, 0, NOW_US + 1), at(1, 1)]),
    ];
    assert.equal(new Set([base, ...others]).size, 7);
  });

  it('of receipts differ by what no other node can know: the id of the message', () => {
    const idFor = (messageId: string) => {
      const item = { ...at(1, 0), kind: 'receipt', receipt: Receipt.fromPartial({ messageId }) };
      const pack = { lane: 's', items: [item] } as unknown as Parameters<typeof publicationOf>[0];
      return publicationOf(pack, 0, 'router-1').stores[0]!.msgId;
    };
    assert.equal(idFor('one'), idFor('one'));
    assert.notEqual(idFor('one'), idFor('two'));
  });
});
