/** Writes the entries of channels: many who join at once cost one or two writes, not one each. */

import type { ChannelRows } from '../store/channels.ts';
import { channelEntry } from './entries.ts';
import type { RouteTable } from './route-table.ts';

type Table = Pick<RouteTable, 'ensureEntry' | 'removeKey'>;

/** What is under way, and what was asked for since it began. */
interface Writing {
  readonly now: Promise<void>;
  next: Promise<void> | undefined;
}

export class ChannelWriter {
  readonly #channels: Pick<ChannelRows, 'withMembers' | 'written'>;
  readonly #writing = new Map<string, Writing>();

  constructor(channels: Pick<ChannelRows, 'withMembers' | 'written'>) {
    this.#channels = channels;
  }

  /** Resolves when the table has the members as they were committed before this call, or later. */
  write(id: string, table: Table): Promise<void> {
    const underway = this.#writing.get(id);
    if (underway === undefined) return this.#begin(id, table);
    underway.next ??= underway.now.then(
      () => this.#begin(id, table),
      () => this.#begin(id, table),
    );
    return underway.next;
  }

  #begin(id: string, table: Table): Promise<void> {
    const now = this.#write(id, table);
    const own: Writing = { now, next: undefined };
    this.#writing.set(id, own);
    const over = () => {
      if (this.#writing.get(id) === own && own.next === undefined) this.#writing.delete(id);
    };
    now.then(over, over);
    return now;
  }

  async #write(id: string, table: Table): Promise<void> {
    const [channel] = await this.#channels.withMembers([id]);
    if (channel === undefined) return;
    const [key, entry] = channelEntry(channel);
    await table.ensureEntry(key, entry);
    // Deleted meanwhile: whoever did may have been faster.
    if (!(await this.#channels.written(id, channel.epoch))) await table.removeKey(key);
  }
}
