/**
 * The whole routing of one partition under one epoch, without input or output: ingress messages go in, publications
 * come out, what became of them goes in, and how far the stream may be acknowledged comes out.
 */

import type { IngressSubject } from '@fleetwire/contract';
import { ingressSubject, LIMITS, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import type { Receipt } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';
import { invariant } from '@fleetwire/kernel';
import type { PackedEnvelope } from './header.ts';
import { readPack } from './header.ts';
import type { Begun, IngressMessage, MessageSlot } from './ingress-message.ts';
import { slotOf } from './ingress-message.ts';
import type { InboxItem, IngressSlot, Item, Mail, Part } from './items.ts';
import { isFanned, spreadOf } from './items.ts';
import type { Effect, JudgeOptions, PushEffect } from './judge.ts';
import { giveBack, giveUp, judge, narrowed, recipientsOf, route, unreadable } from './judge.ts';
import { LaneChoice } from './lane-choice.ts';
import type { Pack } from './lanes.ts';
import { Lanes } from './lanes.ts';
import { Prefix } from './prefix.ts';
import type { Publication } from './publication.ts';
import { publicationOf } from './publication.ts';
import type { Question } from './questions.ts';
import { Questions } from './questions.ts';
import type { KnownName, Names } from './resolve.ts';
import type { RouteEntry } from './routing-table.ts';

export type { IngressMessage } from './ingress-message.ts';

export interface FlowOptions extends JudgeOptions {
  readonly partition: number;
  /** Counts what was refused, by reason; shared by all flows of a process. */
  readonly refusals?: Map<string, number> | undefined;
}

/** What a partition did, for the metrics. */
export interface FlowCounts {
  routed: number;
  local: number;
  returned: number;
  expired: number;
  dead: number;
}

/** Who sent what came on a subject that is none of the contract: the stream takes more than the contract names. */
const NOBODY = { org: UNKNOWN_RECIPIENT, node: UNKNOWN_RECIPIENT } as const;

export class PartitionFlow<M extends IngressMessage = IngressMessage> {
  readonly counts: FlowCounts = { routed: 0, local: 0, returned: 0, expired: 0, dead: 0 };
  readonly #options: FlowOptions;
  readonly #lanes = new Lanes<Item>({ messages: LIMITS.packMessages, bytes: LIMITS.packBytes });
  readonly #choice = new LaneChoice(this.#lanes);
  readonly #prefix = new Prefix<MessageSlot<M>>();
  readonly #questions = new Questions();
  /** What of one message is still to be judged; it is open until all of it is. */
  #begun: Begun<M> | undefined;
  #spread = 0;
  /** Lanes whose last pack was turned down, by the items that tell so: they stay shut until all of it is stored. */
  readonly #shut = new Map<Item, ShutLane>();

  constructor(options: FlowOptions) {
    this.#options = options;
  }

  /** Envelopes in memory. */
  get parts(): number {
    return this.#prefix.parts;
  }

  /** Bytes in memory: of the messages, and of what has come of them. */
  get bytes(): number {
    return this.#prefix.bytes + this.#spread;
  }

  /** Of these, what has come of messages, without themselves: recipients of messages to many, and what is to be told. */
  get spread(): number {
    return this.#spread;
  }

  /** True when nothing is under way. */
  get idle(): boolean {
    return this.#prefix.size === 0;
  }

  /**
   * True while a publish for the agent of this inbox subject waits or may be under way, be it in a message to many; and while
   * any message is held up. What is taken in later goes by the table of then.
   */
  holds(subject: string): boolean {
    // What is held up has its routes already.
    return this.#begun?.judged !== undefined || this.#choice.holds(subject);
  }

  /** True for a message that is done with, as `advance` has said: all that may be missing is that the broker knows. */
  isDone(sequence: number): boolean {
    return sequence <= this.#prefix.advanced;
  }

  /**
   * Takes the next ingress message; one that was already taken (a redelivery) is ignored. False when the pace has ended it
   * early: it goes on when it is given again, and no other one before. So does one whose decision throws, of which nothing
   * has been taken from that envelope on; with `dead_letter`, an envelope whose decision throws becomes a dead letter
   * instead.
   */
  accept(
    message: M,
    now: number,
    fault: 'throw' | 'dead_letter' = 'throw',
    { mayGoOn, copiesMax }: Pace = AT_ONCE,
  ): boolean {
    const nowUs = Math.floor(now);
    const begun = this.#begun ?? this.#begin(message, nowUs);
    if (begun === undefined) return true;
    const { slot, subject, envelopes } = begun;
    invariant(slot.sequence === message.sequence, 'one message after the other');
    for (const first = begun.next; begun.next < envelopes.length; begun.next++) {
      if (begun.next > first && !mayGoOn()) return false;
      const effects =
        begun.judged ?? this.#judge(envelopes[begun.next]!, slot, begun.next, subject, nowUs, fault);
      begun.judged = this.#choice.copies(effects, copiesMax) > copiesMax ? effects : undefined;
      if (begun.judged !== undefined) return false;
      if (effects.length === 0) this.counts.local++;
      for (const effect of effects) this.#carryOut(effect);
    }
    this.#begun = undefined;
    slot.open--;
    return true;
  }

  /**
   * Bytes of the copies that the envelope which is held up would be stored in by now: a message to many goes to each of them
   * that has mail in its own lane by that lane. They get fewer as lanes empty. 0 when none is held up.
   */
  get copies(): number {
    return this.#choice.copies(this.#begun?.judged ?? [], 0);
  }

  /** Names to ask the registry about; each is given out once. */
  takeQuestions(): readonly Question[] {
    return this.#questions.take();
  }

  /** Ends a question: the mail that waited goes where the table by now, or else the answer, says. */
  answer(question: Question, known: KnownName, now: number): void {
    const nowUs = Math.floor(now);
    const names: Names = { ...this.#options.names, known: () => known };
    for (const mail of this.#questions.end(question)) {
      this.#close(mail);
      if (isFanned(mail)) this.#toWhomItWas(mail);
      else for (const effect of this.#routeOrGiveUp(mail, names, nowUs)) this.#carryOut(effect);
    }
  }

  /**
   * The next pack to be stored; undefined when every lane that has mail has one in flight. Mail that cannot be
   * encoded becomes dead letters; throws when not even what is to be told about it can be.
   */
  next(now: number): Publication | undefined {
    for (let pack = this.#lanes.next(); pack !== undefined; pack = this.#lanes.next()) {
      try {
        return publicationOf(pack, this.#options.partition, this.#options.router);
      } catch (thrown) {
        if (pack.items[0]!.kind !== 'inbox') throw thrown;
        this.failed({ pack }, String(thrown), now);
      }
    }
    return undefined;
  }

  /** All of it is stored, for certain. */
  stored({ pack }: Publication): void {
    for (const item of pack.items) {
      if (item.kind === 'inbox') {
        this.counts.routed++;
        item.span?.end();
      } else this.#told(item);
      this.#close(item);
    }
    this.#done(pack.lane);
  }

  /**
   * The bound of the inbox refused it: it goes back to its senders, and is open until that is stored. So long the lane
   * stays shut: were later mail stored before, a take-over in between would route the earlier one behind it.
   */
  refused({ pack }: Publication, now: number): void {
    const nowUs = Math.floor(now);
    this.#turnDown(pack, 'INBOX_FULL', (item) => {
      this.#options.rules?.inboxFull(item, pack.lane, nowUs);
      return giveBack(this.#options, item, nowUs);
    });
  }

  /** It can never be stored, by a fault of ours: its mail becomes dead letters; the lane stays shut as above. */
  failed({ pack }: Pick<Publication, 'pack'>, detail: string, now: number): void {
    const nowUs = Math.floor(now);
    this.#turnDown(pack, detail, (item) => {
      // Of a message to many each recipient ends: its sender waits for as many receipts as there are recipients.
      return giveUp(this.#options, item, detail, nowUs, item.fanned ? recipientsOf(item) : undefined);
    });
  }

  /** The last message of the settled prefix if it has grown since the last call: all up to it may be acknowledged. */
  advance(): M | undefined {
    return this.#prefix.advance()?.message;
  }

  /** Undefined when nothing of it is left to be judged. */
  #begin(message: M, nowUs: number): Begun<M> | undefined {
    if (message.sequence <= this.#prefix.highest) return undefined;
    const { partition } = this.#options;
    const subject = ingressSubject.parse(message.subject);
    invariant(subject === undefined || subject.partition === partition, 'a message of another partition');
    const envelopes = subject === undefined ? undefined : readPack(message.data);
    const slot = slotOf(message, subject ?? { partition, ...NOBODY }, envelopes?.length ?? 1);
    if (subject === undefined || envelopes === undefined) {
      const effects = this.#unreadablePack(slot, subject === undefined ? 'subject' : 'pack', nowUs);
      this.#prefix.enter(slot);
      for (const effect of effects) this.#carryOut(effect);
      return undefined;
    }
    slot.open = 1;
    this.#prefix.enter(slot);
    this.#begun = { slot, subject, envelopes, next: 0, judged: undefined };
    return this.#begun;
  }

  #judge(
    packed: PackedEnvelope,
    slot: IngressSlot,
    index: number,
    subject: IngressSubject,
    nowUs: number,
    fault: 'throw' | 'dead_letter',
  ): Effect[] {
    const part: Part = { slot, index, envelope: packed.bytes };
    try {
      return judge(this.#options, part, packed.header, { subject, ingressAtUs: slot.atUs, nowUs });
    } catch (thrown) {
      if (fault === 'throw') throw thrown;
      return giveUp(this.#options, { ...part, header: packed.header }, String(thrown), nowUs);
    }
  }

  #unreadablePack(slot: MessageSlot<M>, what: 'subject' | 'pack', nowUs: number): Effect[] {
    const part = { slot, index: 0, envelope: slot.message.data };
    return unreadable(this.#options, part, `the ${what} could not be read`, nowUs);
  }

  #routeOrGiveUp(mail: Mail, names: Names, nowUs: number): Effect[] {
    try {
      return route(this.#options, mail, names, nowUs);
    } catch (thrown) {
      return giveUp(this.#options, mail, String(thrown), nowUs);
    }
  }

  #turnDown(pack: Pack<Item>, why: string, by: (item: InboxItem) => PushEffect[]): void {
    const shut: ShutLane = { name: pack.lane, untold: 0 };
    for (const item of pack.items) {
      invariant(item.kind === 'inbox', 'what is to be told is neither refused nor given up');
      item.span?.end(why);
      for (const effect of by(item)) {
        shut.untold++;
        this.#shut.set(effect.item, shut);
        this.#tell(effect);
      }
      this.#close(item);
    }
  }

  #told(item: Item): void {
    const shut = this.#shut.get(item);
    if (shut === undefined) return;
    this.#shut.delete(item);
    if (--shut.untold === 0) this.#done(shut.name);
  }

  #done(lane: string): void {
    this.#lanes.done(lane);
    this.#choice.settled(lane);
  }

  #carryOut(effect: Effect): void {
    if (effect.kind === 'ask') this.#ask(effect.mail, effect.folded);
    else if (effect.kind === 'push') this.#tell(effect);
    else if (effect.item.recipients === undefined) this.#send(effect.item);
    else this.#sendToMany(effect.item, effect.item.recipients);
  }

  #tell({ lane, item }: PushEffect): void {
    if (item.kind === 'receipt') this.#count(item.receipt);
    else {
      this.counts.dead++;
      this.#refuse(item.letter.reason);
    }
    this.#push(lane, item);
  }

  /** To one agent, behind all that waits for it or for what the registry says of its name. */
  #send(item: InboxItem): void {
    if (this.#questions.open(item.slot.org, item.route.folded)) {
      item.span?.end();
      this.#ask(item, item.route.folded);
    } else this.#push(this.#choice.direct(item.route), item);
  }

  #sendToMany(item: InboxItem, all: readonly RouteEntry[]): void {
    const { org } = item.slot;
    const asked = this.#questions.any ? all.filter((each) => this.#questions.open(org, each.folded)) : [];
    for (const each of asked) this.#ask(narrowed(item, [each]), each.folded);
    const free = asked.length === 0 ? all : all.filter((each) => !asked.includes(each));
    const { place } = item.route;
    const { together, apart } = this.#choice.split(place, free);
    for (const each of apart) this.#push(each.subject, narrowed(item, [each]));
    if (together.length === all.length) this.#push(place.many, item);
    else {
      item.span?.end();
      if (together.length > 0) this.#push(place.many, narrowed(item, together));
    }
  }

  /** It has waited only for what was before it: it goes to that recipient, wherever that one lives by now. */
  #toWhomItWas(item: InboxItem): void {
    const { table } = this.#options.names;
    const now = table.agent(item.slot.org, item.route.agent) ?? item.route;
    this.#send({ ...item, route: now });
  }

  #push(lane: string, item: Item): void {
    this.#open(item);
    this.#lanes.push(lane, item.slot.org, item);
  }

  #ask(mail: Mail, folded: string): void {
    this.#open(mail);
    this.#questions.wait(mail, folded);
  }

  #open(what: Item | Mail): void {
    what.slot.open++;
    this.#spread += spreadOf(what);
  }

  #close(what: Item | Mail): void {
    what.slot.open--;
    this.#spread -= spreadOf(what);
  }

  #count({ stage, reason }: Receipt): void {
    if (stage === Stage.EXPIRED) this.counts.expired++;
    else if (stage === Stage.RETURNED) this.counts.returned++;
    else return;
    this.#refuse(reason);
  }

  #refuse(reason: string): void {
    const { refusals } = this.#options;
    refusals?.set(reason, (refusals.get(reason) ?? 0) + 1);
  }
}

/** How much of a message is taken at once. */
export interface Pace {
  /** Asked between its envelopes. */
  readonly mayGoOn: () => boolean;
  /** Bytes of copies of one envelope; beyond, it is held up until lanes have emptied. */
  readonly copiesMax: number;
}

const AT_ONCE: Pace = { mayGoOn: () => true, copiesMax: Number.POSITIVE_INFINITY };

interface ShutLane {
  readonly name: string;
  untold: number;
}
