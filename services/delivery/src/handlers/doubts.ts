/**
 * Receipts in doubt: finds out whether their publishers may say so, and believes or refuses them.
 *
 * The routing table that this process follows may be behind, and does not tell where an agent lived before. So what it does not
 * vouch for is kept, and decided by those who know: the registry of homes, history of senders. While one of them cannot say,
 * it stays open; nothing is refused by a race, and nobody waits for it.
 */

import type { Broker } from '@fleetwire/broker';
import { completeReceipt, DELIVERY_HISTORY } from '@fleetwire/contract';
import { Receipt } from '@fleetwire/gen/message';
import { causeChain } from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { type Contradicted, settlementOf } from '../domain/settlement.ts';
import { type HomesOf, judge, type Refusal, type Sent } from '../domain/verdict.ts';
import { doubtName, dueDoubts, type OpenDoubt, putOffDoubts, takeDoubts } from '../store/doubt-table.ts';
import { findSenders } from '../store/origin-table.ts';
import { type SettlementRow, saveSettlements } from '../store/settlement-table.ts';
import type { DeniedReceipts } from './denied-receipts.ts';
import { type AskHomes, HOMES_ASKED_MAX, NO_HOMES } from './homes-watch.ts';
import type { TellReceived } from './message-events.ts';
import { combineSettlements } from './receipts.ts';
import type { RejectDesk, Rejected } from './reject-desk.ts';

/** How far history has read ingress, by the sequences of the stream. */
export interface IngressProgress {
  /** Up to here all is stored as history. */
  readonly readUpTo: number;
  readonly last: number;
  /** When the stream was made: sequences of an earlier one say nothing of this one. Empty: there is none. */
  readonly made: string;
}

export async function ingressProgress({ streams, consumers }: Broker): Promise<IngressProgress> {
  const { stream, durable_name } = DELIVERY_HISTORY;
  const { lastSequence: last = 0, created: made = '' } = (await streams.state(stream)) ?? {};
  const info = await consumers.info(stream, durable_name);
  if (info === undefined) return { readUpTo: 0, last, made };
  const all = info.numPending === 0 && info.numAckPending === 0;
  return { readUpTo: all ? Math.max(last, info.ackFloor) : info.ackFloor, last, made };
}

export interface DoubtsOptions {
  readonly store: Store;
  readonly ask: AskHomes;
  readonly progress: () => Promise<IngressProgress>;
  readonly desk: RejectDesk;
  readonly denied: Pick<DeniedReceipts, 'add'>;
  readonly contradicted: Contradicted;
  readonly received: TellReceived;
  readonly log: Logger;
  readonly intervalMs: number;
  /** Looked at in one go. */
  readonly limit: number;
}

interface Judged {
  readonly believed: readonly OpenDoubt[];
  readonly refused: readonly { readonly doubt: OpenDoubt; readonly reason: Refusal }[];
  readonly open: readonly OpenDoubt[];
}

export class Doubts {
  readonly name = 'doubts';
  readonly stats = { believed: 0, refused: 0, put_off: 0 };
  readonly #o: DoubtsOptions;
  readonly #rounds: Rounds;
  #unasked = 0;

  constructor(options: DoubtsOptions) {
    this.#o = options;
    const { intervalMs, log } = options;
    const work = async (stopping: AbortSignal) => {
      while (!stopping.aborted && (await this.#round(stopping)));
    };
    this.#rounds = new Rounds({ name: this.name, intervalMs, log, work });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** True: there may be more to look at now. */
  async #round(stopping: AbortSignal): Promise<boolean> {
    const { store, limit } = this.#o;
    const { doubts: due, more } = await dueDoubts(store, limit);
    if (due.length === 0) return false;
    const progress = await this.#o.progress();
    const { believed, refused, open } = await this.#judge(due, progress);
    await this.#believe(believed);
    await this.#refuse(refused, stopping);
    await putOffDoubts(store, open, progress);
    this.stats.put_off += open.length;
    // While nothing can be decided, whoever is asked is not asked without a pause.
    return more && open.length < due.length;
  }

  async #judge(due: readonly OpenDoubt[], { readUpTo, made }: IngressProgress): Promise<Judged> {
    const homes = await this.#homesOf(due);
    const senders = await this.#sentOf(due);
    const believed: OpenDoubt[] = [];
    const refused: { doubt: OpenDoubt; reason: Refusal }[] = [];
    const open: OpenDoubt[] = [];
    for (const doubt of due) {
      const { org, messageId, recipient, publisher, ingressSequence, ingressMade } = doubt;
      const sameStream = made !== '' && ingressMade === made;
      const read = sameStream && ingressSequence !== null && ingressSequence <= readUpTo;
      const sent = senders.get(`${org} ${messageId}`) ?? (read ? ('nothing' as const) : undefined);
      const known = { homes: recipient === '' ? NO_HOMES : homes.get(`${org} ${recipient}`), sent };
      const verdict = judge({ ...doubt, receipt: receiptOf(doubt, publisher) }, known);
      if (verdict === 'believed') believed.push(doubt);
      else if (verdict === 'open') open.push(doubt);
      else refused.push({ doubt, reason: verdict });
    }
    return { believed, refused, open };
  }

  /** By org and agent. Of orgs for which the registry cannot be asked there is nothing: their doubts stay open. */
  async #homesOf(due: readonly OpenDoubt[]): Promise<ReadonlyMap<string, HomesOf>> {
    const all = new Map<string, HomesOf>();
    for (const [org, some] of Map.groupBy(due, (doubt) => doubt.org)) {
      const agents = [...new Set(some.map(({ recipient }) => recipient))].filter((agent) => agent !== '');
      for (let i = 0; i < agents.length; i += HOMES_ASKED_MAX) {
        try {
          const found = await this.#o.ask(org, agents.slice(i, i + HOMES_ASKED_MAX));
          for (const [agent, homes] of found) all.set(`${org} ${agent}`, homes);
        } catch (error) {
          if (this.#unasked++ % 20 === 0)
            this.#o.log.warn(
              { org, cause: causeChain(error) },
              'homes cannot be asked for, receipts in doubt wait',
            );
          break;
        }
      }
    }
    return all;
  }

  async #sentOf(due: readonly OpenDoubt[]): Promise<ReadonlyMap<string, Sent>> {
    const found = new Map<string, Sent>();
    for (const [org, some] of Map.groupBy(due, (doubt) => doubt.org)) {
      const ids = [...new Set(some.map(({ messageId }) => messageId))];
      for (const { id, ...sent } of await findSenders(this.#o.store, org, ids))
        found.set(`${org} ${id}`, sent);
    }
    return found;
  }

  /** Two replicas may have come to the same: who takes it away settles it, in one transaction. */
  async #believe(doubts: readonly OpenDoubt[]): Promise<void> {
    if (doubts.length === 0) return;
    const { store, contradicted, received } = this.#o;
    // Told by both, with the same ids; not within the transaction, which must not wait for a stream.
    await received(doubts.flatMap(settlementRow));
    this.stats.believed += await store.transaction(async (tx) => {
      const taken = await takeDoubts(tx, doubts);
      const mine = doubts.filter((doubt) => taken.has(doubtName(doubt)));
      const rows = combineSettlements(mine.flatMap(settlementRow), contradicted);
      await saveSettlements(tx, rows, contradicted);
      return mine.length;
    });
  }

  /** Given to the desk before it is taken away: a crash in between repeats its letters under the same ids. */
  async #refuse(refused: Judged['refused'], stopping: AbortSignal): Promise<void> {
    if (refused.length === 0) return;
    const { store, desk, denied } = this.#o;
    const rejected = refused.filter(({ doubt }) => doubt.stream === 'RECEIPTS').map(rejection);
    if (rejected.length > 0 && !(await desk.take(this.name, rejected, stopping))) return;
    const taken = await store.transaction((tx) =>
      takeDoubts(
        tx,
        refused.map(({ doubt }) => doubt),
      ),
    );
    for (const { doubt, reason } of refused) {
      if (!taken.has(doubtName(doubt))) continue;
      this.stats.refused++;
      denied.add(doubt, reason);
    }
  }
}

function receiptOf(doubt: OpenDoubt, publisher: string): Receipt {
  return completeReceipt(Receipt.decode(doubt.receipt), publisher);
}

function settlementRow(doubt: OpenDoubt): SettlementRow[] {
  const { org, messageId, recipient, publisher, storedAtUs } = doubt;
  const settlement = settlementOf(receiptOf(doubt, publisher), publisher, storedAtUs);
  return settlement === undefined
    ? []
    : [{ org, messageId, recipient, settlement, storedAtUs, encoded: undefined }];
}

/** A letter in doubt is kept as it is: it only settles nothing. */
function rejection({ doubt, reason }: Judged['refused'][number]): Rejected {
  const { org, publisher, recipient, messageId, sequence, part, receipt: bytes } = doubt;
  const detail =
    reason === 'RECEIPT_FORGED'
      ? `${publisher} speaks of message ${messageId} for ${recipient || 'nobody'}, which never came to it`
      : `${publisher} speaks of message ${messageId} beyond its own part`;
  const word = { publisher, recipient, messageId };
  return { org, reason, detail, stream: 'RECEIPTS', sequence, part, subject: '', bytes, keep: true, word };
}
