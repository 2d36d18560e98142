/** Up to which moment all that was said is known: what has no end by then, and is late, has nobody who would end it. */

/** What is where, by the sequences of the streams, at one moment. */
export interface Progress {
  readonly nowUs: number;
  /** What is before it, routers and history have acknowledged. */
  readonly ingressFirst: number;
  readonly ingressLast: number;
  /** Up to here the inbox was read, before the others were looked at. */
  readonly inboxRead: number;
  readonly inboxLast: number;
  /** Up to here receipts are stored. */
  readonly receiptsRead: number;
  readonly receiptsLast: number;
}

/**
 * Ingress that was there at a moment is first waited for, then what was in the inbox and among the receipts once it had been
 * routed: so what was sent before that moment is in the inbox, or with a node, or has ended, and history knows which.
 */
export class Watermark {
  #seen: { readonly atUs: number; readonly ingress: number; readonly receipts: number } | undefined;
  #routed: { readonly atUs: number; readonly inbox: number; readonly receipts: number } | undefined;
  #atUs = 0;

  /** 0 until the first moment is past. */
  step(now: Progress): number {
    const { nowUs, ingressFirst, ingressLast, inboxRead, inboxLast, receiptsRead, receiptsLast } = now;
    if (this.#routed !== undefined) {
      const { atUs, inbox, receipts } = this.#routed;
      if (inboxRead >= inbox && receiptsRead >= receipts) {
        this.#atUs = atUs;
        this.#routed = undefined;
      }
    }
    if (this.#seen !== undefined && this.#routed === undefined && ingressFirst > this.#seen.ingress) {
      const { atUs, receipts } = this.#seen;
      this.#routed = { atUs, receipts, inbox: inboxLast };
      this.#seen = undefined;
    }
    this.#seen ??= { atUs: nowUs, ingress: ingressLast, receipts: receiptsLast };
    return this.#atUs;
  }
}
