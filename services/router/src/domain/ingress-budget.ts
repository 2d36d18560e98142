/** Which orgs hold more of the ingress stream than their budget: by counts of their messages, and the sizes of some of them. */

import { type IngressSubject, ingressSubject, LIMITS } from '@fleetwire/contract';

/** What is in the ingress stream at one moment. */
export interface IngressHoldings {
  readonly bytes: number;
  /** The bound of `bytes`; 0 or less: none. */
  readonly maxBytes: number;
  /** Messages by ingress subject; where there are too many subjects, of some of them only. */
  readonly subjects: ReadonlyMap<string, number>;
}

/** All that one org has in the stream. */
export interface Holder {
  readonly org: string;
  readonly messages: number;
  /** Where it comes from. */
  readonly nodes: readonly IngressSubject[];
}

/** An org beyond its budget. */
export interface OverBudget {
  readonly org: string;
  /** Estimated. */
  readonly bytes: number;
  readonly nodes: readonly IngressSubject[];
}

/** What a stored message takes beside its payload: subject, headers, the record around them. */
const STORED_EXTRA = 200;
const LARGEST = LIMITS.serverMaxPayload + STORED_EXTRA;
/** Sizes by which a mean is trusted; without so many nobody is judged. */
export const SIZES_ENOUGH = 32;
/** The last ones of each org that are remembered. */
const SIZES_MAX = 128;

/** Does the stream hold more than `percent` of what it may? */
export function isFuller({ bytes, maxBytes }: Pick<IngressHoldings, 'bytes' | 'maxBytes'>, percent: number) {
  return maxBytes > 0 && bytes * 100 > maxBytes * percent;
}

/** Those that would hold more than `percent` of the stream's `maxBytes` if each message were as large as any may be. */
export function suspectsOf(
  { subjects, maxBytes }: Pick<IngressHoldings, 'subjects' | 'maxBytes'>,
  percent: number,
): readonly Holder[] {
  const held = new Map<string, { messages: number; nodes: IngressSubject[] }>();
  for (const [subject, messages] of subjects) {
    const from = ingressSubject.parse(subject);
    if (from === undefined) continue;
    const org = held.get(from.org) ?? { messages: 0, nodes: [] };
    org.messages += messages;
    org.nodes.push(from);
    held.set(from.org, org);
  }
  return [...held]
    .map(([org, { messages, nodes }]) => ({ org, messages, nodes }))
    .filter(({ messages }) => isFuller({ bytes: messages * LARGEST, maxBytes }, percent));
}

/**
 * Sizes of messages that were drawn from what is stored. An org is judged by its own ones only: what others send, and which
 * router sees it, makes no difference to it.
 */
export class SampledSizes {
  readonly #drawn = new Map<string, number[]>();

  /** `bytes`: of the payload. */
  note(org: string, bytes: number): void {
    const drawn = this.#drawn.get(org) ?? [];
    if (drawn.push(bytes + STORED_EXTRA) > SIZES_MAX) drawn.shift();
    this.#drawn.set(org, drawn);
  }

  /** Bytes that a message of this org takes in the stream; undefined while too few are known. */
  meanOf(org: string): number | undefined {
    const drawn = this.#drawn.get(org) ?? [];
    return drawn.length < SIZES_ENOUGH
      ? undefined
      : drawn.reduce((sum, bytes) => sum + bytes, 0) / drawn.length;
  }

  /** Forgets all others. */
  keepOnly(orgs: ReadonlySet<string>): void {
    for (const org of this.#drawn.keys()) if (!orgs.has(org)) this.#drawn.delete(org);
  }
}

/** Those of `suspects` that hold more than `percent` of `maxBytes`, as far as their sizes are known. */
export function overBudget(
  suspects: readonly Holder[],
  sizes: Pick<SampledSizes, 'meanOf'>,
  { bytes, maxBytes }: Pick<IngressHoldings, 'bytes' | 'maxBytes'>,
  percent: number,
): readonly OverBudget[] {
  return suspects.flatMap((holder) => {
    const mean = sizes.meanOf(holder.org);
    const held = Math.min(bytes, Math.floor(holder.messages * (mean ?? 0)));
    if (!isFuller({ bytes: held, maxBytes }, percent)) return [];
    return [{ org: holder.org, bytes: held, nodes: holder.nodes }];
  });
}
