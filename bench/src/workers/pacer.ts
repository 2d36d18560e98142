/** The sending side of a phase: many senders with a window each, or a rate, until told to stop. */

import { type Credit, onMessage, type Phase } from './protocol.ts';

/** Sends before others may run, so that what was made leaves before more is made. */
const BURST = 64;
/** Of the phase with a rate: far more than are ever under way, unless something stands still. */
const PACED_MAX = 1000;

/** `send` hands over one message of a sender, by its number from 0. */
export function runSender(send: (phase: Phase, sender: number) => void): void {
  const pacer = new Pacer(send);
  onMessage((message) => {
    if (message.type === 'credit') pacer.credit(message.credit);
    else if (message.type === 'phase') pacer.begin(message.phase);
    else pacer.stop();
  });
}

class Pacer {
  readonly #send: (phase: Phase, sender: number) => void;
  #phase: Phase | undefined;
  #open: number[] = [];
  #inFlight = 0;
  /** Senders with room in their window, each once; the one that has waited longest is next. */
  #ready: number[] = [];
  #head = 0;
  #planned = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (phase: Phase, sender: number) => void) {
    this.#send = send;
  }

  begin(phase: Phase): void {
    this.stop();
    this.#phase = phase;
    this.#open = Array.from({ length: phase.senders }, () => phase.window);
    this.#ready = Array.from({ length: phase.senders }, (_, i) => i);
    this.#head = 0;
    this.#inFlight = 0;
    if (phase.rate > 0) this.#pace(phase);
    else this.#plan();
  }

  stop(): void {
    this.#phase = undefined;
    clearInterval(this.#timer);
  }

  credit(credit: Credit): void {
    if (this.#phase === undefined) return;
    for (let i = 0; i < credit.length; i += 2) {
      const sender = credit[i]!;
      if (this.#open[sender] === 0) this.#ready.push(sender);
      this.#open[sender]! += credit[i + 1]!;
      this.#inFlight -= credit[i + 1]!;
    }
    if (this.#phase.rate === 0) this.#plan();
  }

  #plan(): void {
    if (this.#planned || this.#head === this.#ready.length) return;
    this.#planned = true;
    setImmediate(() => {
      this.#planned = false;
      this.#flood();
    });
  }

  #flood(): void {
    const phase = this.#phase;
    if (phase === undefined || phase.rate > 0) return;
    for (let burst = 0; burst < BURST && this.#head < this.#ready.length; burst++) {
      const sender = this.#ready[this.#head++]!;
      this.#inFlight++;
      if (--this.#open[sender]! > 0) this.#ready.push(sender);
      this.#send(phase, sender);
    }
    if (this.#head > 4096 || this.#head === this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    this.#plan();
  }

  #pace(phase: Phase): void {
    const began = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) * phase.rate) / 1000);
      while (sent < due && this.#inFlight < PACED_MAX) {
        this.#send(phase, sent++ % phase.senders);
        this.#inFlight++;
      }
    }, 1);
  }
}
