/**
 * Goal: what one agent sends another on one level is stored in its order, once repeats are dropped, though packs are filled by
 * turns and a later holder of the partition fills them otherwise.
 * Method: floods of several senders on all levels, to one agent and to many; holders die at any moment, and what they had in
 * flight arrives before, after or never.
 */

import assert from 'node:assert/strict';
import { LIMITS } from '@fleetwire/contract';
import { Envelope, InboxPack, type Priority } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { Publication } from '../src/domain/publication.ts';
import { flowOf, idOf, message, NOW_US, packOf, tableOf } from './samples.ts';

interface Sent {
  readonly id: string;
  readonly to: string;
  readonly fromAgent: string;
  readonly priority: Priority;
}

const some = fc.record({
  to: fc.constantFrom('alice', 'alice', 'alice', 'bob', '*'),
  fromAgent: fc.constantFrom('a_one', 'a_two', 'a_three'),
  priority: fc.constantFrom(0, 1, 2, 3, 4),
});
const traffic = fc.array(fc.array(some, { minLength: 200, maxLength: 250 }), { minLength: 8, maxLength: 10 });
const steps = fc.array(fc.record({ do: fc.constantFrom(0, 0, 0, 1, 1, 2, 3), pick: fc.nat(99) }), {
  maxLength: 200,
});

class World {
  readonly #sent: readonly Sent[][];
  /** Ids by agent, as they were stored. */
  readonly inbox = new Map<string, string[]>();
  readonly #ids = new Set<string>();
  #flow: PartitionFlow = flowOf(tableOf('alice', 'bob'));
  #flying: Publication[] = [];
  #zombies: Publication[] = [];
  #next = 0;
  #acked = 0;
  backlogged = false;

  constructor(sent: readonly Sent[][]) {
    this.#sent = sent;
  }

  step(what: number, pick: number): void {
    if (what === 0) this.#deliver();
    else if (what === 1) this.#settle(pick);
    else if (what === 2) this.#arriveLate(pick);
    else if (pick < 20) this.#takeOver();
  }

  finish(): void {
    while (this.#next < this.#sent.length || !this.#flow.idle) {
      this.#deliver();
      this.#pump();
      while (this.#flying.length > 0) this.#settle(0);
    }
  }

  #deliver(): void {
    const pack = this.#sent[this.#next];
    if (pack === undefined) return;
    this.#flow.accept(message(++this.#next, packOf(pack)), NOW_US);
    this.#pump();
  }

  #pump(): void {
    for (let p = this.#flow.next(NOW_US); p !== undefined; p = this.#flow.next(NOW_US)) {
      this.#flying.push(p);
      if (p.pack.items.length === LIMITS.packMessages) this.backlogged = true;
    }
    this.#acked = this.#flow.advance()?.sequence ?? this.#acked;
  }

  #settle(pick: number): void {
    const [publication] = this.#flying.splice(pick % Math.max(1, this.#flying.length), 1);
    if (publication === undefined) return;
    this.#store(publication);
    this.#flow.stored(publication);
    this.#pump();
  }

  #store({ pack, stores }: Publication): void {
    if (pack.items[0]!.kind !== 'inbox') return;
    for (const { payload, msgId } of stores) {
      if (this.#ids.has(msgId)) continue;
      this.#ids.add(msgId);
      for (const { envelope, recipients } of InboxPack.decode(payload).entries) {
        const { id } = Envelope.decode(envelope);
        for (const agent of recipients) {
          const there = this.inbox.get(agent) ?? [];
          there.push(id);
          this.inbox.set(agent, there);
        }
      }
    }
  }

  #takeOver(): void {
    for (const [i, publication] of this.#flying.entries()) {
      if (i % 3 === 0) this.#store(publication);
      if (i % 3 === 1) this.#zombies.push(publication);
    }
    this.#flying = [];
    this.#flow = flowOf(tableOf('alice', 'bob'));
    this.#next = this.#acked;
  }

  #arriveLate(pick: number): void {
    const [zombie] = this.#zombies.splice(pick % Math.max(1, this.#zombies.length), 1);
    if (zombie !== undefined) this.#store(zombie);
  }
}

describe('the order of one sender on one level', () => {
  it('is kept through turns, take-overs and late arrivals', () => {
    let backlogged = 0;
    fc.assert(
      fc.property(traffic, steps, (packs, picks) => {
        let n = 0;
        const sent = packs.map((pack) => pack.map((each) => ({ ...each, id: idOf(++n) }) as Sent));
        const world = new World(sent);
        // More than a pack gathers while the first one is in flight.
        for (let i = 0; i < 4; i++) world.step(0, 0);
        for (const each of picks) world.step(each.do, each.pick);
        world.finish();
        if (world.backlogged) backlogged++;
        for (const name of ['alice', 'bob']) {
          const got = [...new Set(world.inbox.get(`a_${name}`))];
          const meant = sent.flat().filter(({ to }) => to === name || to === '*');
          const place = new Map(got.map((id, at) => [id, at]));
          const last = new Map<string, number>();
          for (const { id, fromAgent, priority } of meant) {
            const at = place.get(id);
            assert.ok(at !== undefined, `${id} is lost`);
            // Unspecified is normal.
            const key = `${fromAgent} ${priority === 0 ? 2 : priority}`;
            assert.ok(at > (last.get(key) ?? -1), `${id} of ${key} was overtaken`);
            last.set(key, at);
          }
        }
      }),
      { numRuns: 15, endOnFailure: true },
    );
    assert.ok(backlogged > 5, 'packs are full, so that there are turns');
  });
});
