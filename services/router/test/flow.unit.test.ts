/**
 * Goal: whatever happens in between, a flow publishes every message of a sender in order, settles each exactly once,
 * and never lets an unsettled one be acknowledged; after a take-over only in-order repeats appear.
 * Method: random traffic, and a broker in memory that stores, refuses and forgets in an order that fast-check picks.
 */

import assert from 'node:assert/strict';
import { Envelope, InboxPack, ReceiptBatch } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { Publication } from '../src/domain/publication.ts';
import type { Question } from '../src/domain/questions.ts';
import { flowOf, idOf, message, NOW_US, nodeRoute, ORG, packOf, route, tableOf } from './samples.ts';

/** What the broker holds: per subject the ids of mail in order; dedupe ids; receipts by message id. */
class MemoryBroker {
  readonly inbox = new Map<string, string[]>();
  readonly receipts = new Map<string, string>();
  readonly dead: string[] = [];
  readonly #ids = new Set<string>();

  store(publication: Publication): void {
    for (const { subject, payload, msgId } of publication.stores) {
      if (this.#ids.has(msgId)) continue;
      this.#ids.add(msgId);
      const kind = publication.pack.items[0]!.kind;
      if (kind === 'inbox') {
        const ids = InboxPack.decode(payload).entries.map((e) => Envelope.decode(e.envelope).id);
        this.inbox.set(subject, [...(this.inbox.get(subject) ?? []), ...ids]);
      } else if (kind === 'receipt') {
        for (const r of ReceiptBatch.decode(payload).receipts) {
          assert.ok(!this.receipts.has(r.messageId) || this.receipts.get(r.messageId) === r.reason);
          this.receipts.set(r.messageId, r.reason);
        }
      } else this.dead.push(subject);
    }
  }
}

/** First occurrences only: what is left after the primary key of the node. */
function once(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}

const traffic = fc.array(
  fc.array(fc.constantFrom('alice', 'bob', 'carol@laptop', 'late', 'nobody', 'not an address', '?review'), {
    minLength: 1,
    maxLength: 6,
  }),
  { minLength: 1, maxLength: 30 },
);
const choices = fc.array(fc.nat(999), { maxLength: 400 });

interface Sent {
  readonly id: string;
  readonly to: string;
}

describe('the flow of a partition', () => {
  it('keeps order and completeness through refusals, questions and take-overs', () => {
    fc.assert(
      fc.property(traffic, choices, (packs, picks) => {
        let n = 0;
        const sent: Sent[][] = packs.map((pack) => pack.map((to) => ({ id: idOf(++n), to })));
        const world = new World(sent);
        for (const pick of picks) world.step(pick);
        world.finish();
        world.check();
      }),
      { numRuns: 1000 },
    );
  });

  it('lets no mail overtake what waits for the answer about its name', () => {
    const table = tableOf('alice');
    const flow = flowOf(table);
    flow.accept(message(1, packOf([{ id: idOf(1), to: 'late' }])), NOW_US);
    const [question] = flow.takeQuestions();
    assert.deepEqual(question, { org: ORG, folded: 'late' });
    table.put(route('late'));
    flow.accept(message(2, packOf([{ id: idOf(2), to: 'LATE@laptop' }])), NOW_US);
    assert.equal(flow.next(NOW_US), undefined, 'later mail left before the answer');
    assert.deepEqual(flow.takeQuestions(), []);
    flow.answer(question!, { route: undefined }, NOW_US);
    const { items } = flow.next(NOW_US)!.pack;
    assert.deepEqual(
      items.map((item) => item.kind === 'inbox' && item.header.id),
      [idOf(1), idOf(2)],
    );
  });

  it('keeps a lane shut after a refusal until the sender can know of it', () => {
    const flow = flowOf(tableOf('alice'));
    flow.accept(message(1, packOf([{ id: idOf(1) }])), NOW_US);
    const first = flow.next(NOW_US)!;
    flow.accept(message(2, packOf([{ id: idOf(2) }])), NOW_US);
    flow.refused(first, NOW_US);
    const told = flow.next(NOW_US)!;
    assert.equal(told.pack.items[0]?.kind, 'receipt');
    assert.equal(flow.next(NOW_US), undefined, 'later mail left before the receipt was stored');
    flow.stored(told);
    assert.equal(flow.next(NOW_US)?.pack.items[0]?.kind, 'inbox');
    assert.equal(flow.advance()?.sequence, 1);
  });
});

class World {
  readonly #sent: readonly Sent[][];
  readonly #broker = new MemoryBroker();
  readonly #table = tableOf('carol');
  readonly #late = route('late');
  #flow: PartitionFlow;
  #flying: Publication[] = [];
  #questions: Question[] = [];
  /** In flight when their holder died: each may still arrive, at any time. */
  #zombies: Publication[] = [];
  /** Next message to be delivered; the stream keeps what is above `#acked`. */
  #next = 0;
  #acked = 0;
  #epoch = 1;

  constructor(sent: readonly Sent[][]) {
    this.#sent = sent;
    for (const name of ['alice', 'bob']) this.#table.put(route(name, { capabilities: ['review'] }));
    this.#table.putNode(ORG, nodeRoute('n_laptop'));
    this.#flow = flowOf(this.#table);
  }

  step(pick: number): void {
    const kind = pick % 10;
    if (kind < 4) this.#deliver();
    else if (kind < 8) this.#settle(Math.floor(pick / 10), 'stored');
    else if (kind === 8) this.#answer();
    else if (pick > 700) this.#takeOver();
    else if (pick > 500) this.#arriveLate(pick);
    else this.#settle(Math.floor(pick / 10), 'refused');
    this.#pump();
  }

  finish(): void {
    for (let guard = 0; guard < 10_000; guard++) {
      this.#deliver();
      this.#answer();
      this.#pump();
      if (this.#flying.length === 0 && this.#questions.length === 0 && this.#flow.idle) break;
      while (this.#flying.length > 0) this.#settle(0, 'stored');
    }
    this.#pump();
    assert.ok(this.#flow.idle);
    assert.equal(this.#flow.bytes, 0);
    assert.equal(this.#acked, this.#sent.length);
  }

  check(): void {
    const all = this.#sent.flat();
    for (const name of ['alice', 'bob', 'carol', 'late']) {
      const wanted = all.filter((s) => s.to.startsWith(name)).map((s) => s.id);
      const anyone = new Set(all.filter((s) => s.to.startsWith('?')).map((s) => s.id));
      const got = once(this.#stored(name)).filter((id) => !anyone.has(id));
      const returned = new Set(wanted.filter((id) => this.#broker.receipts.get(id) === 'INBOX_FULL'));
      for (const id of wanted) assert.ok(got.includes(id) || returned.has(id), `${id} is lost`);
      // What was refused once and came through after a take-over is late by nature; the others keep their order.
      const inOrder = got.filter((id) => !returned.has(id));
      assert.deepEqual(
        inOrder,
        wanted.filter((id) => !returned.has(id)),
      );
    }
    for (const { id, to } of all) {
      const reason = this.#broker.receipts.get(id);
      if (to === 'nobody') assert.equal(reason, 'UNKNOWN_AGENT');
      if (to === 'not an address') assert.equal(reason, 'INVALID_ADDRESS');
      if (to !== '?review') continue;
      const times = ['alice', 'bob'].flatMap((n) => this.#stored(n)).filter((stored) => stored === id).length;
      assert.ok(times === 1 || (times === 0 && reason === 'INBOX_FULL'), `${id} went to ${times} agents`);
    }
    const hopeless = all.filter((s) => s.to.startsWith('no')).length;
    assert.equal(this.#broker.dead.length, hopeless);
  }

  #deliver(): void {
    const pack = this.#sent[this.#next];
    if (pack === undefined) return;
    this.#next++;
    this.#flow.accept(message(this.#next, packOf(pack)), NOW_US);
  }

  #pump(): void {
    this.#questions.push(...this.#flow.takeQuestions());
    for (let p = this.#flow.next(NOW_US); p !== undefined; p = this.#flow.next(NOW_US)) this.#flying.push(p);
    const acked = this.#flow.advance();
    if (acked !== undefined) {
      assert.ok(acked.sequence > this.#acked);
      this.#acked = acked.sequence;
      for (const { id, to } of this.#sent.slice(0, this.#acked).flat()) this.#assertSettled(id, to);
    }
  }

  #assertSettled(id: string, to: string): void {
    const name = to.split('@')[0]!;
    const names = to === '?review' ? ['alice', 'bob'] : /^[a-z]+$/.test(name) ? [name] : [];
    const stored = names.some((each) => this.#stored(each).includes(id));
    assert.ok(stored || this.#broker.receipts.has(id), `${id} is acknowledged but not settled`);
  }

  #stored(name: string): readonly string[] {
    return this.#broker.inbox.get(route(name).subject) ?? [];
  }

  #settle(pick: number, how: 'stored' | 'refused'): void {
    if (this.#flying.length === 0) return;
    const [publication] = this.#flying.splice(pick % this.#flying.length, 1);
    if (how === 'refused' && publication!.pack.items[0]!.kind === 'inbox') {
      this.#flow.refused(publication!, NOW_US);
      return;
    }
    this.#broker.store(publication!);
    this.#flow.stored(publication!);
  }

  #answer(): void {
    for (const question of this.#questions.splice(0)) {
      const found = question.folded === 'late' ? this.#late : undefined;
      this.#flow.answer(question, { route: found }, NOW_US);
    }
  }

  /** The old holder dies; what it had in flight may arrive before the new one begins, later, or never. */
  #takeOver(): void {
    for (const [i, publication] of this.#flying.entries()) {
      if (i % 3 === 0) this.#broker.store(publication);
      if (i % 3 === 1) this.#zombies.push(publication);
    }
    this.#flying = [];
    this.#questions = [];
    // Not what the old holder went by: what is picked again is often another agent.
    const capabilities = this.#epoch % 2 === 0 ? ['review'] : [];
    this.#table.put(route('bob', { capabilities, epoch: ++this.#epoch }));
    this.#flow = flowOf(this.#table);
    this.#next = this.#acked;
  }

  #arriveLate(pick: number): void {
    if (this.#zombies.length === 0) return;
    this.#broker.store(this.#zombies.splice(pick % this.#zombies.length, 1)[0]!);
  }
}
