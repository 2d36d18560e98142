/**
 * Receipts from the hub: which of them their publishers may say, so that no node of the org speaks for another's agents.
 *
 * Services say what is theirs. A node is believed about agents that live on it by the directory; what that does not know is
 * asked of the registry, and counts once it has said so. While the registry is away it waits, within a bound; history, which
 * decides for itself, is not held up by that.
 */

import { receiptFault, speakerOfService } from '@fleetwire/contract';
import type { Receipt } from '@fleetwire/gen/message';
import type { AgentHome, AgentHomesRequest, AgentHomesResponse } from '@fleetwire/gen/registry';
import { asFleetwireError, backoffMs, Deque, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Sift } from './progress.ts';

export interface ReceiptGateParts {
  /** By the directory, or while its mail is on the way from there. */
  isHome(agent: string, node: string): boolean;
  /** At the registry; rejects `unimplemented` by one that does not tell. */
  ask(request: AgentHomesRequest): Promise<AgentHomesResponse>;
  /** When this node accepted the message, broker time; undefined: it knows none of this id. */
  acceptedAtUs(id: string): number | undefined;
  readonly log: Pick<Logger, 'warn'>;
  /** Receipts that wait for the registry's word; more are dropped, and only history knows. */
  readonly waitingMax: number;
}

interface Waiting {
  readonly publisher: string;
  readonly receipt: Receipt;
  readonly late: (receipts: readonly Receipt[]) => void;
}

const RETRY = { initialMs: 200, maxMs: 5000 } as const;
/** Agents of one question. */
const ASKED_MAX = 1000;
/** Mail that was accepted so long after its recipient had left may still have come to the old node. */
const STRAY_US = 60_000_000;
const LINES_EVERY = 1000;

export class ReceiptGate {
  readonly #parts: ReceiptGateParts;
  readonly #stopping = new AbortController();
  readonly #waiting = new Deque<Waiting>();
  #working: Promise<void> | undefined;
  #refused = 0;
  #dropped = 0;

  constructor(parts: ReceiptGateParts) {
    this.#parts = parts;
  }

  /** Since the start: not believed, and dropped because too many waited. */
  get figures(): { readonly refused: number; readonly dropped: number; readonly waiting: number } {
    return { refused: this.#refused, dropped: this.#dropped, waiting: this.#waiting.length };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#working;
  }

  readonly sift: Sift = (publisher, receipts, late) => {
    const service = speakerOfService(publisher);
    const good: Receipt[] = [];
    for (const receipt of receipts) {
      const fault = receiptFault(receipt, service ?? 'recipient');
      if (fault !== undefined || (service === undefined && receipt.recipient === ''))
        this.#refuse(publisher, receipt, fault ?? 'RECEIPT_FORGED');
      else if (service !== undefined || this.#parts.isHome(receipt.recipient, publisher)) good.push(receipt);
      else this.#wait({ publisher, receipt, late });
    }
    return good;
  };

  #wait(one: Waiting): void {
    if (this.#waiting.length >= this.#parts.waitingMax) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(one);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 0; this.#waiting.length > 0 && !signal.aborted; ) {
      const some: Waiting[] = [];
      while (some.length < ASKED_MAX && this.#waiting.length > 0) some.push(this.#waiting.shift()!);
      try {
        this.#decide(some, await this.#homesOf(some));
        attempt = 0;
      } catch (error) {
        if (attempt++ % 20 === 0)
          this.#parts.log.warn(
            { err: asFleetwireError(error) },
            'receipts wait for the word of the registry',
          );
        await pause(backoffMs(RETRY, attempt - 1), signal);
        // The directory may know by now.
        for (const one of some)
          if (this.#parts.isHome(one.receipt.recipient, one.publisher)) one.late([one.receipt]);
          else this.#waiting.push(one);
      }
    }
  }

  /** Undefined: the registry is one that does not tell, so all are believed, as before it could. */
  async #homesOf(some: readonly Waiting[]): Promise<ReadonlyMap<string, AgentHome> | undefined> {
    const agents = [...new Set(some.map(({ receipt }) => receipt.recipient))];
    try {
      const { homes } = await this.#parts.ask({ agents, org: '' });
      return new Map(homes.map((home) => [home.agent, home]));
    } catch (error) {
      if (asFleetwireError(error).kind === 'unimplemented') return undefined;
      throw error;
    }
  }

  #decide(some: readonly Waiting[], homes: ReadonlyMap<string, AgentHome> | undefined): void {
    for (const { publisher, receipt, late } of some) {
      const home = homes?.get(receipt.recipient);
      if (homes === undefined || this.#livedThere(publisher, receipt, home)) late([receipt]);
      else this.#refuse(publisher, receipt, 'RECEIPT_FORGED');
    }
  }

  #livedThere(node: string, { messageId }: Receipt, home: AgentHome | undefined): boolean {
    if (home === undefined) return false;
    if (home.nodes.includes(node)) return true;
    const left = home.former.filter((one) => one.node === node).map(({ leftAtMs }) => leftAtMs * 1000);
    if (left.length === 0) return false;
    const sentAtUs = this.#parts.acceptedAtUs(messageId);
    return sentAtUs !== undefined && sentAtUs <= Math.max(...left) + STRAY_US;
  }

  #refuse(publisher: string, { messageId, recipient, stage }: Receipt, reason: string): void {
    if (this.#refused++ % LINES_EVERY !== 0) return;
    const about = { publisher, recipient, messageId, stage, reason, refused: this.#refused };
    this.#parts.log.warn(about, 'a receipt is not believed: it is not its publisher’s to say');
  }
}
