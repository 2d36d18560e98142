/** Which orgs hold more of the ingress stream than their budget: an estimate, by counts of messages and sizes seen. */

import { type IngressSubject, ingressSubject } from '@fleetwire/contract';

/** What is in the ingress stream at one moment. */
export interface IngressHoldings {
  readonly messages: number;
  readonly bytes: number;
  /** The bound of `bytes`; 0 or less: none. */
  readonly maxBytes: number;
  /** Messages by ingress subject; where there are too many subjects, of some of them only. */
  readonly subjects: ReadonlyMap<string, number>;
}

/** An org beyond its budget. */
export interface OverBudget {
  readonly org: string;
  /** Estimated. */
  readonly bytes: number;
  /** Those of its nodes that have anything in the stream. */
  readonly nodes: readonly IngressSubject[];
}

/** Subjects whose sizes are remembered; those of others share what is left. */
const SUBJECTS_MAX = 10_000;
/** What a stored message takes beside its payload: subject, headers, the record around them. */
const STORED_EXTRA = 200;

/** Mean sizes of what comes by each subject. Notes only while it is on: else a message costs it a comparison. */
export class MessageSizes {
  readonly #seen = new Map<string, { messages: number; bytes: number }>();
  #on = false;

  /** Subjects of which something was seen. */
  get size(): number {
    return this.#seen.size;
  }

  /** Off, it also forgets: what comes after a long pause may be of another kind. */
  set on(on: boolean) {
    this.#on = on;
    if (!on) this.#seen.clear();
  }

  /** `bytes`: of the payload. */
  note(subject: string, bytes: number): void {
    if (!this.#on) return;
    const seen = this.#seen.get(subject);
    if (seen !== undefined) {
      seen.messages++;
      seen.bytes += bytes;
    } else if (this.#seen.size < SUBJECTS_MAX) this.#seen.set(subject, { messages: 1, bytes });
  }

  /** Bytes that a message of this subject takes in the stream; undefined when none was seen. */
  meanOf(subject: string): number | undefined {
    const seen = this.#seen.get(subject);
    return seen && seen.bytes / seen.messages + STORED_EXTRA;
  }
}

/** Does the stream hold more than `percent` of what it may? */
export function isFuller({ bytes, maxBytes }: Pick<IngressHoldings, 'bytes' | 'maxBytes'>, percent: number) {
  return maxBytes > 0 && bytes * 100 > maxBytes * percent;
}

/**
 * The orgs that hold more than `percent` of the stream's `maxBytes`. The server counts messages by subject, not bytes: they are
 * weighed by the mean size seen of the subject, and those of which none was seen share what is left of the stream's bytes. So
 * what other routers see distorts nothing here, and never are two orgs beyond half.
 */
export function overBudget(
  holdings: IngressHoldings,
  sizes: Pick<MessageSizes, 'meanOf'>,
  percent: number,
): readonly OverBudget[] {
  const weightOf = weights(holdings, sizes);
  const held = new Map<string, { bytes: number; nodes: IngressSubject[] }>();
  for (const [subject, count] of holdings.subjects) {
    const from = ingressSubject.parse(subject);
    if (from === undefined) continue;
    const org = held.get(from.org) ?? { bytes: 0, nodes: [] };
    org.bytes += count * weightOf(subject);
    org.nodes.push(from);
    held.set(from.org, org);
  }
  return [...held]
    .map(([org, { bytes, nodes }]) => ({ org, bytes: Math.floor(bytes), nodes }))
    .filter(({ bytes }) => isFuller({ bytes, maxBytes: holdings.maxBytes }, percent));
}

/** Bytes of one message of a subject, such that all together are what the stream holds. */
function weights(
  { messages, bytes, subjects }: IngressHoldings,
  sizes: Pick<MessageSizes, 'meanOf'>,
): (subject: string) => number {
  let unseen = messages;
  let seenBytes = 0;
  for (const [subject, count] of subjects) {
    const mean = sizes.meanOf(subject);
    if (mean === undefined) continue;
    unseen -= count;
    seenBytes += count * mean;
  }
  // None is smaller than what is around it.
  const unseenBytes = unseen <= 0 ? 0 : Math.max(bytes - seenBytes, unseen * STORED_EXTRA);
  const scale = bytes / Math.max(1, seenBytes + unseenBytes);
  const others = unseen <= 0 ? 0 : unseenBytes / unseen;
  return (subject) => scale * (sizes.meanOf(subject) ?? others);
}
