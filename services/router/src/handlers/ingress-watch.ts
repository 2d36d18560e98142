/** Keeps one org from filling the ingress stream of all: while it grows full, nodes of who holds too much of it are to stop. */

import type { Broker, StreamState } from '@fleetwire/broker';
import { filters, ingressSubject, type StreamName } from '@fleetwire/contract';
import { causeChain, repeatEvery } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { isFuller, type OverBudget, overBudget, SampledSizes, suspectsOf } from '../domain/ingress-budget.ts';
import type { PeerFrames } from './peer-frames.ts';

export interface IngressWatchOptions {
  readonly broker: {
    readonly streams: Pick<Broker['streams'], 'state' | 'countBySubject'>;
    readonly messages: Pick<Broker['messages'], 'get'>;
    connected(): boolean;
  };
  readonly frames: Pick<PeerFrames, 'send'>;
  /** One that is alone takes nothing from anybody. */
  readonly severalOrgs: () => boolean;
  /** Hundredths of what the stream may hold: from here on it is looked into. */
  readonly watchPercent: number;
  /** Hundredths of the same that one org may hold. */
  readonly orgPercent: number;
  /** Between two looks, milliseconds. */
  readonly intervalMs: number;
  readonly log: Logger;
}

/** Two of the server's pages. What goes beyond counts as nobody's. */
const SUBJECTS_MAX = 200_000;
/** Messages read in one look: 64 MiB at the most. */
const DRAWS = 64;
/** Frames written at a stretch. */
const FRAMES_AT_ONCE = 200;
/** So many looks without an answer leave standing what was found by the one before. */
const BLIND_LOOKS = 5;
const INGRESS: StreamName = 'INGRESS';

/**
 * Has one question to the server under way at most, and none in the way of mail. Each replica tells all nodes, so that a
 * router that dies lets nobody go on; a frame that comes several times does no harm.
 */
export class IngressWatch {
  readonly name = 'ingress watch';
  readonly #o: IngressWatchOptions;
  readonly #stopping = new AbortController();
  readonly #sizes = new SampledSizes();
  #over: readonly OverBudget[] = [];
  #blind = 0;
  #percent = 0;
  #full = false;

  constructor(options: IngressWatchOptions) {
    this.#o = options;
  }

  /** For `health` and metrics: how full the stream was at the last look, and orgs that hold too much of it. */
  get figures(): { readonly percent: number; readonly over_budget: number } {
    return { percent: this.#percent, over_budget: this.#over.length };
  }

  start(): void {
    const look = () => this.#look();
    void look().then(() => repeatEvery(this.#o.intervalMs, this.#stopping.signal, look));
  }

  /** Does not wait for an answer that is under way. */
  stop(): void {
    this.#stopping.abort();
  }

  async #look(): Promise<void> {
    if (!this.#o.broker.connected()) return;
    try {
      const over = await this.#overBudget();
      if (this.#stopping.signal.aborted) return;
      this.#blind = 0;
      this.#note(over);
    } catch (error) {
      if (this.#blind++ === 0)
        this.#o.log.warn({ error: causeChain(error) }, 'nobody knows who fills ingress');
      if (this.#blind > BLIND_LOOKS) this.#note([]);
    }
    await this.#tell();
  }

  async #overBudget(): Promise<readonly OverBudget[]> {
    const { broker, watchPercent, orgPercent, severalOrgs } = this.#o;
    const state = await broker.streams.state(INGRESS);
    this.#noteFill(state);
    const looked = state !== undefined && this.#full && severalOrgs();
    const holdings = looked
      ? await broker.streams.countBySubject(INGRESS, filters.allIngress, SUBJECTS_MAX)
      : undefined;
    if (holdings === undefined || !isFuller(holdings, watchPercent)) {
      this.#sizes.keepOnly(new Set());
      return [];
    }
    const suspects = suspectsOf(holdings, orgPercent);
    const orgs = new Set(suspects.map(({ org }) => org));
    this.#sizes.keepOnly(orgs);
    if (orgs.size > 0) await this.#draw(orgs, holdings);
    return overBudget(suspects, this.#sizes, holdings, orgPercent);
  }

  /**
   * Some messages at random, each that the stream has as likely as any other: what others send between an org's messages
   * makes no difference. Of an org that has few and large ones it takes some looks until enough are known.
   */
  async #draw(orgs: ReadonlySet<string>, { firstSequence, lastSequence }: StreamState): Promise<void> {
    const { messages } = this.#o.broker;
    for (let i = 0; i < DRAWS && !this.#stopping.signal.aborted; i++) {
      const sequence = firstSequence + Math.floor(Math.random() * (lastSequence - firstSequence + 1));
      const drawn = await messages.get(INGRESS, sequence);
      const org = drawn && ingressSubject.parse(drawn.subject)?.org;
      if (org !== undefined && orgs.has(org)) this.#sizes.note(org, drawn!.data.length);
    }
  }

  #noteFill(state: StreamState | undefined): void {
    const { watchPercent, log } = this.#o;
    const { bytes = 0, maxBytes = 0 } = state ?? {};
    this.#percent = maxBytes > 0 ? Math.round((bytes * 100) / maxBytes) : 0;
    const full = isFuller({ bytes, maxBytes }, watchPercent);
    if (full && !this.#full)
      log.warn(
        { percent: this.#percent },
        'ingress grows full: history is behind; once it is full, senders are refused',
      );
    this.#full = full;
  }

  #note(over: readonly OverBudget[]): void {
    const [before, now] = [this.#over, over].map((all) => new Set(all.map(({ org }) => org)));
    this.#over = over;
    for (const { org, bytes } of over)
      if (!before!.has(org))
        this.#o.log.warn({ org, bytes }, 'an org holds too much of ingress: it is to stop');
    for (const org of before!)
      if (!now!.has(org)) this.#o.log.info({ org }, 'an org may send to ingress again');
  }

  async #tell(): Promise<void> {
    // It holds over one frame that is lost, and over an answer that takes its time.
    const retryAfterMs = 3 * this.#o.intervalMs;
    let written = 0;
    for (const { org, nodes } of this.#over)
      for (const { node } of nodes) {
        this.#o.frames.send({ org, node, reason: 'ingress_budget', retryAfterMs });
        if (++written % FRAMES_AT_ONCE === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      }
  }
}
