/** Hands mail to one program, one message at a time: attempt recorded, injected, observed, ended. Never twice. */

import { type Proof as ReceiptProof, Stage } from '@fleetwire/gen/message';
import {
  asFleetwireError,
  backoffMs,
  type Clock,
  FleetwireError,
  messageMarker,
  pause,
} from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Adapter, InjectedMessage, Proof } from '../adapters/port.ts';
import type { HostedAgent, Taker } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { confirmed, type Outcome, returned, unconfirmed } from '../domain/receipt.ts';
import type { Turns } from '../store/turns.ts';
import type { Custody } from './custody.ts';

/** Tries for a message that certainly did not reach a program that runs. */
const TRIES = 5;
const RETRY = { initialMs: 200, maxMs: 2000 } as const;

export interface RunnerParts {
  readonly agent: HostedAgent;
  readonly adapter: Adapter;
  /** How long proof is looked for before the sender is told that there is none yet. */
  readonly observeMs: number;
  /** How much longer proof is then waited for, and the next message with it; never beyond the message's deadline. */
  readonly lateProofMs: number;
  readonly clock: Clock;
  readonly custody: Custody;
  readonly turns: Turns;
  readonly log: Logger;
  /** Told once a message has been injected, for the announcement that it is delivered. */
  injected(entry: Entry): void;
}

export class ProgramRunner implements Taker {
  readonly adapter: Adapter;
  readonly #parts: RunnerParts;
  readonly #closing = new AbortController();
  #busy = true;
  #tries = 0;
  #work: Promise<void> = Promise.resolve();

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.adapter = parts.adapter;
  }

  /** Takes over: first what an earlier run of the node left attempted, by looking only; then what waits. */
  begin(): void {
    this.#parts.agent.taker = this;
    this.#work = this.#recover();
  }

  hasRoom(agent: HostedAgent): boolean {
    const { state } = this.adapter.programState();
    return !this.#busy && agent.queue.attempted.size === 0 && state === 'running';
  }

  deliver(entries: readonly Entry[]): void {
    this.#busy = true;
    this.#work = this.#handOver(entries[0]!);
  }

  /** The program is left as it is; a message under observation stays attempted unless proof comes at once. */
  async end(): Promise<void> {
    this.#closing.abort();
    if (this.#parts.agent.taker === this) this.#parts.agent.taker = undefined;
    await this.#work;
  }

  async #recover(): Promise<void> {
    const { agent, custody, turns } = this.#parts;
    for (const entry of agent.queue.attempted.values()) {
      if (this.#closing.signal.aborted) return;
      const proof = await this.#proof(() => this.adapter.recover(injectedMessage(entry, custody)));
      await this.#conclude(entry, proof);
    }
    this.#busy = false;
    if (!this.#closing.signal.aborted) turns.add(() => custody.touch(agent));
  }

  async #handOver(entry: Entry): Promise<void> {
    const message = injectedMessage(entry, this.#parts.custody);
    try {
      await this.adapter.inject(message);
    } catch (thrown) {
      if (thrown instanceof FleetwireError) return this.#notReached(entry, thrown);
      this.#parts.log.warn({ err: asFleetwireError(thrown), message: entry.seq }, 'injection ended in doubt');
    }
    this.#tries = 0;
    entry.deliveredAtUs = this.#parts.clock.nowUs();
    this.#parts.injected(entry);
    const { observeMs } = this.#parts;
    const proof = await this.#proof(() => this.adapter.observe(message, observeMs, this.#closing.signal));
    await this.#conclude(entry, proof);
    this.#next();
  }

  /** Ends the message; while proof may still come, the sender is told that there is none yet, and it stays attempted. */
  async #conclude(entry: Entry, first: Proof): Promise<void> {
    const { signal } = this.#closing;
    let proof = first;
    const { lateProofMs, clock, custody } = this.#parts;
    const leftMs = Math.min(lateProofMs, (entry.deadlineUs - clock.nowUs()) / 1000);
    if (proof.kind === 'unproven' && proof.pending && leftMs > 0 && !signal.aborted) {
      await this.#reportUnproven(entry, proof.reason, proof.detail);
      proof = await this.#proof(() =>
        this.adapter.observeLate(injectedMessage(entry, custody), leftMs, signal),
      );
    }
    // The next start of the node looks again.
    if (signal.aborted && proof.kind === 'unproven') return;
    await this.#settle(entry, this.#outcomeOf(entry, proof));
  }

  #reportUnproven(entry: Entry, reason: string, detail: string): Promise<void> {
    return this.#turn(() => {
      if (entry.ended) return;
      this.#parts.custody.report(entry, Stage.UNCONFIRMED, reason, detail);
      entry.unconfirmed = true;
      entry.announced = true;
    });
  }

  #outcomeOf(entry: Entry, proof: Proof): Outcome {
    if (proof.kind === 'unproven') return unconfirmed(proof.reason, proof.detail);
    const { pane, pid } = this.adapter.programState();
    const seen: ReceiptProof = {
      source: this.adapter.kind,
      matched: proof.matched,
      injectedAtUs: entry.deliveredAtUs,
      detectedAtUs: this.#parts.clock.nowUs(),
      // The pane's socket is nobody else's business.
      place: [pane && `pane ${pane.split(' ')[0]}`, pid && `process ${pid}`].filter(Boolean).join(', '),
      attempt: 0,
    };
    return confirmed(proof.evidence, seen);
  }

  async #notReached(entry: Entry, error: FleetwireError): Promise<void> {
    const { custody, turns, agent } = this.#parts;
    const running = this.adapter.programState().state === 'running';
    if (running && ++this.#tries >= TRIES) {
      this.#tries = 0;
      await this.#settle(entry, returned(error.reason, error.message));
    } else {
      await this.#turn(() => custody.putBack(entry));
      if (running) await pause(backoffMs(RETRY, this.#tries), this.#closing.signal);
    }
    this.#busy = false;
    if (!this.#closing.signal.aborted) turns.add(() => custody.touch(agent));
  }

  #next(): void {
    this.#busy = false;
    if (this.#closing.signal.aborted) return;
    this.#parts.turns.add(() => this.#parts.custody.touch(this.#parts.agent));
  }

  async #proof(look: () => Promise<Proof>): Promise<Proof> {
    try {
      return await look();
    } catch (thrown) {
      const { reason, message } = asFleetwireError(thrown);
      return { kind: 'unproven', reason, detail: message };
    }
  }

  #settle(entry: Entry, outcome: Outcome): Promise<void> {
    return this.#turn(() => this.#parts.custody.end([entry], outcome));
  }

  /** A turn that fails has been reported by the store; what is on the disk is decided at the next start. */
  #turn(work: () => void): Promise<void> {
    return this.#parts.turns.run(work).catch(() => undefined);
  }
}

function injectedMessage(entry: Entry, custody: Custody): InjectedMessage {
  const envelope = custody.envelopeOf(entry);
  const { id, fromName, fromAgent, to, body, contentType, correlationId, replyTo } = envelope;
  const marker = messageMarker(id);
  return { id, marker, fromName, fromAgent, to, body, contentType, correlationId, replyTo };
}
