/**
 * Goal: from one sender to one recipient first in is first out, whether a message is for one agent or for many, and every
 * recipient of an acknowledged message has it or is told of; refusals, questions and take-overs change nothing of that.
 * Method: random traffic, and a broker in memory that stores, refuses and forgets in an order that fast-check picks.
 */

import assert from 'node:assert/strict';
import { Envelope, InboxPack, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { Publication } from '../src/domain/publication.ts';
import type { Question } from '../src/domain/questions.ts';
import { flowOf, idOf, message, NOW_US, nodeRoute, ORG, packOf, route, tableOf } from './samples.ts';

const TOWER = { node: 'n_tower', nodeName: 'tower' };
/** Always there. */
const STEADY = ['alice', 'bob', 'carol'];
/** Where mail for everybody of the address goes, as far as they are in the table. */
const MEANT: Readonly<Record<string, readonly string[]>> = {
  '#ops': ['alice', 'carol', 'late'],
  '*@laptop': ['alice', 'bob', 'late', 'dora'],
  '*': ['alice', 'bob', 'carol', 'late', 'dora'],
};

/** The inbox stream, as its readers see it: for each agent the ids in the order of the stream, repeats included. */
class MemoryBroker {
  readonly mail = new Map<string, string[]>();
  /** Message id and recipient of what was refused. */
  readonly returned = new Set<string>();
  readonly fanOut = new Map<string, number>();
  readonly #ids = new Set<string>();

  store(publication: Publication): void {
    const { kind } = publication.pack.items[0]!;
    for (const { payload, msgId } of publication.stores) {
      if (this.#ids.has(msgId)) continue;
      this.#ids.add(msgId);
      if (kind === 'inbox') this.#keep(payload);
      else if (kind === 'receipt')
        for (const receipt of ReceiptBatch.decode(payload).receipts) {
          const { messageId, recipient, stage, fanOut } = receipt;
          if (stage === Stage.ROUTED) this.fanOut.set(messageId, fanOut);
          else this.returned.add(`${messageId} ${recipient}`);
        }
    }
  }

  #keep(payload: Uint8Array): void {
    for (const { envelope, recipients } of InboxPack.decode(payload).entries) {
      const { id } = Envelope.decode(envelope);
      for (const agent of recipients) this.mail.set(agent, [...this.of(agent), id]);
    }
  }

  of(agent: string): readonly string[] {
    return this.mail.get(agent) ?? [];
  }
}

interface Sent {
  readonly id: string;
  readonly to: string;
}

const to = fc.constantFrom('alice', 'bob', 'carol@tower', 'late', 'alice', '#ops', '*@laptop', '*');
const traffic = fc.array(fc.array(to, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 25 });
const choices = fc.array(fc.nat(999), { maxLength: 400 });

describe('mail to one and mail to many', () => {
  it('comes to each recipient in the order in which it was sent', () => {
    fc.assert(
      fc.property(traffic, choices, (packs, picks) => {
        let n = 0;
        const world = new World(packs.map((pack) => pack.map((each) => ({ id: idOf(++n), to: each }))));
        for (const pick of picks) world.step(pick);
        world.finish();
        world.check();
      }),
      { numRuns: 1500 },
    );
  });

  it('waits together for the answer about a name', () => {
    const table = tableOf('alice');
    table.putNode(ORG, nodeRoute('n_laptop'));
    const flow = flowOf(table);
    flow.accept(message(1, packOf([{ id: idOf(1), to: 'late' }])), NOW_US);
    table.put(route('late'));
    flow.accept(message(2, packOf([{ id: idOf(2), to: '*' }])), NOW_US);
    const broker = new MemoryBroker();
    const settle = () => {
      for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
        broker.store(p);
        flow.stored(p);
      }
    };
    settle();
    assert.deepEqual([broker.of('a_alice'), broker.of('a_late')], [[idOf(2)], []]);
    assert.equal(flow.advance(), undefined);
    flow.answer(flow.takeQuestions()[0]!, { route: undefined }, NOW_US);
    settle();
    assert.deepEqual(broker.of('a_late'), [idOf(1), idOf(2)]);
    assert.deepEqual([broker.of('a_alice').length, broker.fanOut.get(idOf(2))], [1, 2]);
    assert.equal(flow.advance()?.sequence, 2);
  });

  it('keeps an agent waiting for its new place while mail to many of its node is under way', () => {
    const table = tableOf('alice', 'bob');
    const flow = flowOf(table);
    const { subject } = route('alice');
    flow.accept(message(1, packOf([{ id: idOf(1), to: '*' }])), NOW_US);
    assert.ok(flow.holds(subject));
    assert.ok(!flow.holds(route('alice', TOWER).subject));
    const flying = [];
    for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) flying.push(p);
    assert.ok(flow.holds(subject));
    for (const publication of flying) flow.stored(publication);
    assert.ok(!flow.holds(subject));
  });
});

class World {
  readonly #sent: readonly Sent[][];
  readonly #broker = new MemoryBroker();
  readonly #table = tableOf('alice', 'bob');
  #flow: PartitionFlow;
  #flying: Publication[] = [];
  #questions: Question[] = [];
  /** In flight when their holder died: each may still arrive, at any time. */
  #zombies: Publication[] = [];
  /** Whom the router of now has found for which message. */
  #found = new Map<string, readonly string[]>();
  /** Message and name of what some router did not find them for. */
  readonly #without = new Set<string>();
  #next = 0;
  #acked = 0;
  #epoch = 1;

  constructor(sent: readonly Sent[][]) {
    this.#sent = sent;
    this.#table.put(route('carol', TOWER));
    for (const node of ['n_laptop', 'n_tower']) this.#table.putNode(ORG, nodeRoute(node));
    const members = ['a_alice', 'a_carol', 'a_late'];
    this.#table.putChannel(ORG, { channel: 'c_1', name: 'ops', epoch: 1, group: false, members });
    this.#flow = flowOf(this.#table);
  }

  step(pick: number): void {
    const kind = pick % 12;
    const which = Math.floor(pick / 12);
    if (kind < 4) this.#deliver();
    else if (kind < 8) this.#settle(which, 'stored');
    else if (kind === 8) this.#answer();
    else if (kind === 9) this.#table.put(route('late'));
    else if (kind === 10 && pick > 500) this.#takeOver();
    else if (kind === 10) this.#arriveLate(pick);
    else this.#settle(which, 'refused');
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
    for (const name of [...STEADY, 'late', 'dora']) {
      const agent = `a_${name}`;
      const back = (id: string) => this.#broker.returned.has(`${id} ${agent}`);
      // What was refused once, or not for it at first, and came through after a take-over is late by nature.
      const later = (id: string) => back(id) || this.#without.has(`${id} ${name}`);
      const got = [...new Set(this.#broker.of(agent))].filter((id) => !later(id));
      assert.deepEqual(got, [...got].sort(), `${name} got mail out of order`);
      if (!STEADY.includes(name)) continue;
      const meant = all.filter((s) => s.to.split('@')[0] === name || MEANT[s.to]?.includes(name));
      assert.deepEqual(
        got,
        meant.map(({ id }) => id).filter((id) => !back(id)),
      );
    }
  }

  #deliver(): void {
    const pack = this.#sent[this.#next];
    if (pack === undefined) return;
    this.#next++;
    for (const sent of pack) {
      const found = this.#meant(sent);
      this.#found.set(sent.id, found);
      for (const name of ['late', 'dora']) if (!found.includes(name)) this.#without.add(`${sent.id} ${name}`);
    }
    this.#flow.accept(message(this.#next, packOf(pack)), NOW_US);
  }

  #meant({ to: address }: Sent): readonly string[] {
    const many = MEANT[address];
    if (many !== undefined) return many.filter((name) => this.#table.find(ORG, name) !== undefined);
    return [address.split('@')[0]!];
  }

  #pump(): void {
    this.#questions.push(...this.#flow.takeQuestions());
    for (let p = this.#flow.next(NOW_US); p !== undefined; p = this.#flow.next(NOW_US)) this.#flying.push(p);
    const acked = this.#flow.advance();
    if (acked === undefined) return;
    for (const sent of this.#sent.slice(this.#acked, acked.sequence).flat()) this.#assertSettled(sent);
    this.#acked = acked.sequence;
  }

  #assertSettled({ id, to: address }: Sent): void {
    const found = this.#found.get(id)!;
    for (const name of found) {
      const settled =
        this.#broker.of(`a_${name}`).includes(id) || this.#broker.returned.has(`${id} a_${name}`);
      assert.ok(settled, `${id} is acknowledged, and ${name} has nothing of it`);
    }
    if (MEANT[address] !== undefined) assert.ok(this.#broker.fanOut.has(id), 'nobody says how many');
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
    for (const question of this.#questions.splice(0))
      this.#flow.answer(question, { route: route('late') }, NOW_US);
  }

  /** The old holder dies; what it had in flight may arrive before the new one begins, later, or never. */
  #takeOver(): void {
    for (const [i, publication] of this.#flying.entries()) {
      if (i % 3 === 0) this.#broker.store(publication);
      if (i % 3 === 1) this.#zombies.push(publication);
    }
    this.#flying = [];
    this.#questions = [];
    // Not whom the old holder found.
    if (++this.#epoch % 2 === 0) this.#table.put(route('dora'));
    else this.#table.remove(ORG, 'a_dora');
    this.#flow = flowOf(this.#table);
    this.#next = this.#acked;
  }

  #arriveLate(pick: number): void {
    if (this.#zombies.length === 0) return;
    this.#broker.store(this.#zombies.splice(pick % this.#zombies.length, 1)[0]!);
  }
}
