/** Mail that waits for what the registry says of a name; all mail for that name queues behind it, in order. */

import type { Mail } from './items.ts';

/** A name that the registry should be asked about. */
export interface Question {
  readonly org: string;
  readonly folded: string;
}

export class Questions {
  readonly #waiting = new Map<string, Mail[]>();
  #fresh: Question[] = [];

  /** True while mail waits for any name. */
  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** True while mail waits for this name. */
  open(org: string, folded: string): boolean {
    return this.#waiting.size > 0 && this.#waiting.has(keyOf(org, folded));
  }

  wait(mail: Mail, folded: string): void {
    const { org } = mail.slot;
    const waiting = this.#waiting.get(keyOf(org, folded));
    if (waiting !== undefined) {
      waiting.push(mail);
      return;
    }
    this.#waiting.set(keyOf(org, folded), [mail]);
    this.#fresh.push({ org, folded });
  }

  /** Questions that nobody was given yet. */
  take(): readonly Question[] {
    const fresh = this.#fresh;
    if (fresh.length > 0) this.#fresh = [];
    return fresh;
  }

  /** The mail that waited, in order; from now on the name is open no more. */
  end({ org, folded }: Question): readonly Mail[] {
    const waiting = this.#waiting.get(keyOf(org, folded)) ?? [];
    this.#waiting.delete(keyOf(org, folded));
    return waiting;
  }
}

function keyOf(org: string, folded: string): string {
  return `${org} ${folded}`;
}
