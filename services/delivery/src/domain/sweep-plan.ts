/** What of the inbox stream is watched for its deadline: a forward cursor and a bounded heap of deadlines. */

export interface Watched {
  readonly sequence: number;
  /** Of the last entry of the pack, microseconds since the Unix epoch, in broker time. */
  readonly deadlineUs: number;
  /** Of the entry whose time ends first; never, where there is none. */
  readonly firstDeadlineUs: number;
}

/**
 * Each message of the stream is read once, remembered by its deadline, and looked at again when that has passed.
 * When the heap is full the cursor waits: nothing is forgotten, and no memory grows.
 */
export class SweepPlan {
  readonly #max: number;
  readonly #heap: Watched[] = [];
  readonly #known = new Set<number>();
  #cursor = 1;
  #readTo = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The first sequence that has not been read. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Up to this sequence all that is there has been read. */
  get readTo(): number {
    return this.#readTo;
  }

  /** No message that waits has an earlier deadline. */
  get firstDeadlineUs(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { firstDeadlineUs } of this.#heap) first = Math.min(first, firstDeadlineUs);
    return first;
  }

  get watched(): number {
    return this.#heap.length;
  }

  hasRoom(): boolean {
    return this.#heap.length < this.#max;
  }

  /** Begins at the front of the stream again; what is watched already is not taken twice. */
  rewind(): void {
    this.#cursor = 1;
  }

  /** Remembers a message that was read and moves the cursor behind it. */
  watch(item: Watched): void {
    this.#cursor = item.sequence + 1;
    this.put(item);
  }

  /** There is nothing before `sequence` that was not read. */
  reached(sequence: number): void {
    this.#readTo = Math.max(this.#readTo, sequence - 1);
  }

  /** Remembers a message without moving the cursor, so that it is looked at again. */
  put(item: Watched): void {
    if (this.#known.has(item.sequence)) return;
    this.#known.add(item.sequence);
    this.#heap.push(item);
    this.#up(this.#heap.length - 1);
  }

  /** Takes out at most `limit` messages whose deadline has passed, the earliest first. */
  due(nowUs: number, limit: number): Watched[] {
    const found: Watched[] = [];
    while (found.length < limit && this.#heap.length > 0 && this.#heap[0]!.deadlineUs <= nowUs)
      found.push(this.#pop());
    return found;
  }

  #pop(): Watched {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#down(0);
    }
    this.#known.delete(first.sequence);
    return first;
  }

  #up(from: number): void {
    const item = this.#heap[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#heap[parent]!.deadlineUs <= item.deadlineUs) break;
      this.#heap[at] = this.#heap[parent]!;
      at = parent;
    }
    this.#heap[at] = item;
  }

  #down(from: number): void {
    const item = this.#heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      const right = this.#heap[child + 1];
      if (right !== undefined && right.deadlineUs < this.#heap[child]!.deadlineUs) child++;
      if (this.#heap[child]!.deadlineUs >= item.deadlineUs) break;
      this.#heap[at] = this.#heap[child]!;
      at = child;
    }
    this.#heap[at] = item;
  }
}
