/** Who floods a partition: while it lags, which nodes take more than their fair share of what comes in. */

export interface IngressShareOptions {
  /** So far a partition may be behind before anybody is asked to hold back, milliseconds. */
  readonly lagHighMs: number;
}

/** One ingress message as it is taken in. */
export interface Intake {
  /** Its subject, which names the sending node. */
  readonly subject: string;
  readonly bytes: number;
  /** When the broker stored it, microseconds. */
  readonly storedAtUs: number;
}

const WINDOW_US = 1_000_000;
/** Nodes counted in one window; what the others send counts for all of them. */
const NODES_MAX = 4096;
/** What a message costs beside its bytes. */
const MESSAGE_BYTES = 512;
/** So much more than the fair share is not held against anybody: shares of a second are never even. */
const TOLERANCE = 1.2;

/**
 * Counts only while the lag is above the bound: without one it costs a comparison. The fair share of a node is an equal
 * part of its org's, which is an equal part of all, among the orgs and nodes that sent in that second; who sends alone takes
 * nothing from anybody.
 */
export class IngressShare {
  readonly #lagHighMs: number;
  readonly #bytes = new Map<string, number>();
  #sinceUs = 0;
  #lagMs = 0;

  constructor(options: IngressShareOptions) {
    this.#lagHighMs = options.lagHighMs;
  }

  /** How far behind the last message was, milliseconds. */
  get lagMs(): number {
    return this.#lagMs;
  }

  /** Subjects of the nodes to be told to hold back: at the end of each second of lag, else nobody. `nowUs`: broker time. */
  took({ subject, bytes, storedAtUs }: Intake, nowUs: number): readonly string[] {
    this.#lagMs = Math.max(0, (nowUs - storedAtUs) / 1000);
    if (this.#lagMs <= this.#lagHighMs) {
      if (this.#bytes.size > 0) this.#bytes.clear();
      return NOBODY;
    }
    if (this.#bytes.size === 0) this.#sinceUs = nowUs;
    const known = this.#bytes.get(subject);
    if (known !== undefined || this.#bytes.size < NODES_MAX)
      this.#bytes.set(subject, (known ?? 0) + bytes + MESSAGE_BYTES);
    if (nowUs - this.#sinceUs < WINDOW_US) return NOBODY;
    const greedy = beyondShare(this.#bytes);
    this.#bytes.clear();
    return greedy;
  }
}

const NOBODY: readonly string[] = [];

/** Those of `taken`, bytes by ingress subject, that have more than their share. */
export function beyondShare(taken: ReadonlyMap<string, number>): readonly string[] {
  const nodesOf = new Map<string, number>();
  let total = 0;
  for (const [subject, bytes] of taken) {
    const org = orgPart(subject);
    nodesOf.set(org, (nodesOf.get(org) ?? 0) + 1);
    total += bytes;
  }
  const ofOrg = (total / nodesOf.size) * TOLERANCE;
  return [...taken].flatMap(([subject, bytes]) =>
    bytes * nodesOf.get(orgPart(subject))! > ofOrg ? [subject] : NOBODY,
  );
}

/** All of a subject but the node. */
function orgPart(subject: string): string {
  return subject.slice(0, subject.lastIndexOf('.'));
}
