/** What became of the messages that this node's agents have sent: kept for a while, told to those who wait. */

import {
  completeReceipt,
  endsMessage,
  hasComeTo,
  isKnownStage,
  type KnownStage,
  MOVES,
  standingOf,
} from '@fleetwire/contract';
import { type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { Deque, meansMany } from '@fleetwire/kernel';

export interface ProgressBounds {
  readonly messages: number;
  readonly waits: number;
}

export type ReceiptListener = (receipts: readonly Receipt[]) => void;

/**
 * Those of `receipts` that their publisher may say. What has to be looked into first is told to `late` once it is found to be
 * true, and never when it is not.
 */
export type Sift = (
  publisher: string,
  receipts: readonly Receipt[],
  late: (receipts: readonly Receipt[]) => void,
) => readonly Receipt[];

/** Bytes of receipts that are kept as they came while nobody listens. */
const LATER_BYTES = 8 * 1024 * 1024;
/** What a receipt in memory is taken to have. */
const RECEIPT_BYTES = 1024;
/** Receipts that are kept, for each message of the bound: one to many has more, and then fewer messages are remembered. */
const RECEIPTS_PER_MESSAGE = 4;

/** What is known of one message. */
interface Told {
  /** By recipient; under the empty one, what a router says of all of them. */
  readonly receipts: Map<string, Receipt>;
  /** Recipients whose receipt is final. */
  ended: number;
  /** Recipients to whom this node has delivered a message to many itself. */
  served: number;
  /** It has no others, so no router says how many there are. */
  alone: boolean;
}

interface Batch {
  /** The last token of the subject on which they came. */
  readonly publisher: string;
  /** Encoded, when nobody had to read them yet. */
  readonly receipts: Uint8Array | readonly Receipt[];
}

/** Receipts are decoded and sorted only once somebody wants to know. */
export class Progress {
  readonly #self: string;
  readonly #bounds: ProgressBounds;
  /** By message id; the oldest go first. */
  readonly #known = new Map<string, Told>();
  #receipts = 0;
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #listeners = new Map<number, Set<ReceiptListener>>();
  readonly #numOf: (agentId: string) => number | undefined;
  readonly #sift: Sift;
  readonly #order = new Deque<string>();
  readonly #later = new Deque<Batch>();
  #laterBytes = 0;
  #waits = 0;

  /** `self`: this node's id. */
  constructor(
    self: string,
    bounds: ProgressBounds,
    numOf: (agentId: string) => number | undefined,
    sift: Sift,
  ) {
    this.#sift = sift;
    this.#self = self;
    this.#bounds = bounds;
    this.#numOf = numOf;
  }

  /** One encoded ReceiptBatch as it came from the broker. */
  hear(publisher: string, receipts: Uint8Array): void {
    this.#take({ publisher, receipts });
  }

  /** Receipts of this node itself. */
  absorb(receipts: readonly Receipt[]): void {
    this.#take({ publisher: this.#self, receipts });
  }

  #take(batch: Batch): void {
    if (this.#waits > 0 || this.#listeners.size > 0) {
      this.#sort(batch);
      return;
    }
    this.#later.push(batch);
    this.#laterBytes += bytesOf(batch);
    while (this.#laterBytes > LATER_BYTES) this.#laterBytes -= bytesOf(this.#later.shift()!);
  }

  #sort({ publisher, receipts: told }: Batch): void {
    if (!(told instanceof Uint8Array)) this.#tell(publisher, told);
    else
      this.#tell(
        publisher,
        this.#sift(publisher, receiptsIn(told), (late) => this.#tell(publisher, late)),
      );
  }

  #tell(publisher: string, receipts: readonly Receipt[]): void {
    const perAgent = new Map<number, Receipt[]>();
    for (const receipt of receipts) {
      if (!this.#keep(completeReceipt(receipt, publisher))) continue;
      this.#wakeFor(receipt.messageId);
      if (this.#listeners.size === 0) continue;
      const num = this.#numOf(receipt.fromAgent);
      if (num === undefined || !this.#listeners.has(num)) continue;
      const list = perAgent.get(num);
      if (list === undefined) perAgent.set(num, [receipt]);
      else list.push(receipt);
    }
    for (const [num, list] of perAgent) for (const listen of this.#listeners.get(num)!) listen(list);
  }

  /** All receipts about what one agent sends, from now on. */
  listen(agent: number, listener: ReceiptListener): () => void {
    this.#catchUp();
    const set = this.#listeners.get(agent) ?? new Set();
    this.#listeners.set(agent, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.#listeners.delete(agent);
    };
  }

  /**
   * A message to many was delivered here to so many agents of this node, who are not among those that a router finds for
   * it; `alone`: there are no others. To be called before their receipts are heard of.
   */
  served(id: string, recipients: number, alone: boolean): void {
    // What was heard and not looked at yet can wait: it is about earlier messages, and may be a hundred thousand receipts.
    const told = this.#told(id);
    told.served = recipients;
    told.alone = alone;
    this.#wakeFor(id);
  }

  /** The receipts so far, and whether the message has ended for each recipient. */
  of(id: string): { receipts: Receipt[]; final: boolean } {
    this.#catchUp();
    const told = this.#known.get(id);
    if (told === undefined) return { receipts: [], final: false };
    return { receipts: [...told.receipts.values()], final: isOver(told) };
  }

  /** Whether all that is waited for has come; `until`: a stage of WAY, or else the end. */
  isDone(id: string, until: Stage): boolean {
    this.#catchUp();
    if (until === Stage.ACCEPTED) return true;
    const told = this.#known.get(id);
    return told !== undefined && (isOver(told) ? !mayGetProof(told, until) : hasCome(told, until));
  }

  /**
   * Resolves once the message has ended for each known recipient, or has come to the stage `until`; at the time-out, or when
   * `signal` aborts.
   */
  wait(id: string, until: Stage, timeoutMs: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#waits >= this.#bounds.waits) return undefined;
    if (this.isDone(id, until) || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const set = this.#waiting.get(id) ?? new Set();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        set.delete(look);
        if (set.size === 0) this.#waiting.delete(id);
        this.#waits--;
        resolve();
      };
      const look = () => {
        if (this.isDone(id, until)) done();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.set(id, set.add(look));
      this.#waits++;
    });
  }

  #catchUp(): void {
    this.#laterBytes = 0;
    for (let batch = this.#later.shift(); batch !== undefined; batch = this.#later.shift()) this.#sort(batch);
  }

  #wakeFor(id: string): void {
    const waiters = this.#waiting.get(id);
    if (waiters !== undefined) for (const wake of waiters) wake();
  }

  /**
   * False when the receipt brings nothing new: the first end holds, unless proof comes after it, or the message is under way
   * again by a later attempt.
   */
  #keep(receipt: Receipt): boolean {
    const { messageId, recipient } = receipt;
    if (!isKnownStage(receipt.stage)) return false;
    const before = this.#known.get(messageId)?.receipts.get(recipient);
    const later = receipt.attempt - (before?.attempt ?? 0);
    if (later < 0) return false;
    if (later === 0 && before !== undefined && !CHANGES.has(MOVES[standing(before)][standing(receipt)]))
      return false;
    const told = this.#told(messageId);
    if (before === undefined) this.#receipts++;
    if (recipient !== '') told.ended += Number(receipt.final) - Number(before?.final === true);
    told.receipts.set(recipient, receipt);
    this.#forget();
    return true;
  }

  #told(id: string): Told {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const told: Told = { receipts: new Map(), ended: 0, served: 0, alone: false };
    this.#known.set(id, told);
    this.#order.push(id);
    this.#forget();
    return told;
  }

  /** The newest stays, however large it is. */
  #forget(): void {
    const { messages } = this.#bounds;
    while (
      this.#order.length > messages ||
      (this.#receipts > messages * RECEIPTS_PER_MESSAGE && this.#order.length > 1)
    ) {
      const oldest = this.#order.shift()!;
      this.#receipts -= this.#known.get(oldest)!.receipts.size;
      this.#known.delete(oldest);
    }
  }
}

/** None where they cannot be read: any node of the org may say what it likes here, and nobody waits for that. */
export function receiptsIn(encoded: Uint8Array): readonly Receipt[] {
  try {
    return ReceiptBatch.decode(encoded).receipts;
  } catch {
    return [];
  }
}

/** To many: each recipient that a router or this node knows of must have ended, and for that their number must be known. */
function isOver({ receipts, ended, served, alone }: Told): boolean {
  const ofAll = receipts.get('');
  if (ended < receipts.size - (ofAll === undefined ? 0 : 1)) return false;
  if (ofAll?.final === true || alone) return ended >= served;
  if (ofAll?.stage === Stage.ROUTED) return ended >= served + ofAll.fanOut;
  if (ofAll !== undefined || served > 0 || ended === 0) return false;
  return !meansMany(receipts.values().next().value!.to);
}

/** The same for a stage on the way, of each recipient by itself: who has ended before it will not come to it. */
function hasCome(told: Told, until: Stage): boolean {
  if (until === Stage.UNSPECIFIED) return false;
  const { receipts, served, alone } = told;
  const ofAll = receipts.get('');
  let settled = 0;
  for (const [recipient, receipt] of receipts) {
    if (recipient === '') continue;
    if (!hasComeTo(receipt, until) && !(receipt.final && !isUnproven(receipt, until))) return false;
    settled++;
  }
  if (alone) return settled >= served;
  if (ofAll?.stage === Stage.ROUTED) return settled >= served + ofAll.fanOut;
  if (ofAll !== undefined || served > 0 || settled === 0) return false;
  return !meansMany(receipts.values().next().value!.to);
}

/** All have ended, and proof may still come of one that is waited for. */
function mayGetProof({ receipts }: Told, until: Stage): boolean {
  for (const receipt of receipts.values()) if (isUnproven(receipt, until)) return true;
  return false;
}

const isUnproven = ({ stage }: Receipt, until: Stage): boolean =>
  until === Stage.CONFIRMED && stage === Stage.UNCONFIRMED;

function bytesOf({ receipts }: Batch): number {
  return receipts instanceof Uint8Array ? receipts.length : receipts.length * RECEIPT_BYTES;
}

const CHANGES: ReadonlySet<string> = new Set(['goes on', 'ends', 'upgrades']);

function standing({ stage, final }: Receipt) {
  return standingOf(stage as KnownStage, endsMessage(stage as KnownStage, final));
}
