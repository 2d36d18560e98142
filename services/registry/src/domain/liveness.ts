/** Who is online: kept in memory between writes, so that a heartbeat costs no query. */

export type Status = 'online' | 'offline';

/** Online: heard of less than `livenessMs` ago. All in milliseconds of broker time. */
export function statusOf(lastSeenAtMs: number, nowMs: number, livenessMs: number): Status {
  return nowMs - lastSeenAtMs < livenessMs ? 'online' : 'offline';
}

/** When nodes were last heard of, as far as this replica knows, and what of it is not written yet. */
export class LastSeen {
  readonly #seen = new Map<string, number>();
  /** When they said that they leave. */
  readonly #left = new Map<string, number>();
  readonly #unwritten = new Set<string>();

  /** This replica has heard of it. */
  note(node: string, atMs: number): void {
    if ((this.#seen.get(node) ?? 0) >= atMs) return;
    this.#seen.set(node, atMs);
    this.#unwritten.add(node);
  }

  /** Another replica has, and has written it. */
  learn(node: string, atMs: number, leftAtMs: number): void {
    if ((this.#seen.get(node) ?? 0) < atMs) this.#seen.set(node, atMs);
    if (leftAtMs > 0) this.leave(node, leftAtMs);
  }

  /** It said so at this moment: offline until it is heard of later. */
  leave(node: string, atMs: number): void {
    if ((this.#left.get(node) ?? 0) < atMs) this.#left.set(node, atMs);
  }

  forget(node: string): void {
    this.#seen.delete(node);
    this.#left.delete(node);
    this.#unwritten.delete(node);
  }

  /** As `statusOf`, and offline when it has left since; by the later one of what is in memory and what was written. */
  status(
    node: string,
    written: { readonly lastSeenAtMs: number; readonly leftAtMs: number },
    nowMs: number,
    livenessMs: number,
  ): Status {
    const atMs = this.latest(node, written.lastSeenAtMs);
    return this.leftAt(node, written.leftAtMs) >= atMs ? 'offline' : statusOf(atMs, nowMs, livenessMs);
  }

  /** The later one of what is in memory and what was written. */
  latest(node: string, writtenAtMs: number): number {
    return Math.max(this.#seen.get(node) ?? 0, writtenAtMs);
  }

  /** As `latest`, of its goodbyes. */
  leftAt(node: string, writtenAtMs: number): number {
    return Math.max(this.#left.get(node) ?? 0, writtenAtMs);
  }

  /** Up to `limit` that are not written; they count as written until `giveBack`. */
  take(limit: number): { node: string; atMs: number }[] {
    const batch: { node: string; atMs: number }[] = [];
    for (const node of this.#unwritten) {
      if (batch.length === limit) break;
      this.#unwritten.delete(node);
      batch.push({ node, atMs: this.#seen.get(node) ?? 0 });
    }
    return batch;
  }

  /** The write failed: they are to be written again. */
  giveBack(batch: readonly { node: string }[]): void {
    for (const { node } of batch) this.#unwritten.add(node);
  }

  /** Forgets what was heard before `beforeMs` and is written. */
  prune(beforeMs: number): void {
    for (const [node, atMs] of this.#seen)
      if (atMs < beforeMs && !this.#unwritten.has(node)) this.#seen.delete(node);
    for (const [node, atMs] of this.#left) if (atMs < beforeMs) this.#left.delete(node);
  }

  get unwritten(): number {
    return this.#unwritten.size;
  }
}
