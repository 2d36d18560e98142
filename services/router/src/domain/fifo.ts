/** A queue whose both ends cost the same however long it is. */

export class Fifo<T> {
  #items: T[] = [];
  /** Items before this one have left. */
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The one that leaves next; undefined when there is none. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++]!;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 32 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
