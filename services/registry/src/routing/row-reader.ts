/** Reads the rows of agents whose routes are new, many at once, so that look-ups need no query. */

import { asFleetwireError, pause } from '@fleetwire/kernel';
import type { AgentRows, PlacedAgent } from '../store/agents.ts';
import type { ViewEntry } from './org-view.ts';

export interface RowReaderLog {
  warn(fields: object, message: string): void;
}

export interface RowReaderOptions {
  readonly agents: Pick<AgentRows, 'byIds'>;
  readonly remember: (row: PlacedAgent) => void;
  readonly rowsMax: number;
  readonly log: RowReaderLog;
}

const BATCH = 500;
/** So that a burst of changes is one query. */
const GATHER_MS = 10;
const RETRY_MS = 1000;

export class RowReader {
  /** Rows that are remembered. */
  count = 0;
  readonly #o: RowReaderOptions;
  readonly #wanted = new Set<string>();
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #loop: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(options: RowReaderOptions) {
    this.#o = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#loop;
  }

  /** Beyond the bound nothing is read: then each look-up is a query. */
  want(entry: ViewEntry): void {
    if (this.count + this.#wanted.size >= this.#o.rowsMax) return;
    this.#wanted.add(entry.id);
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      if (this.#wanted.size === 0) {
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        await woken.promise;
      } else await pause(this.#failing ? RETRY_MS : GATHER_MS, signal);
      if (!signal.aborted) await this.#read();
    }
  }

  async #read(): Promise<void> {
    const ids: string[] = [];
    for (const id of this.#wanted) if (ids.push(id) === BATCH) break;
    if (ids.length === 0) return;
    for (const id of ids) this.#wanted.delete(id);
    try {
      const rows = await this.#o.agents.byIds(ids);
      for (const row of rows) this.#o.remember(row);
      this.#failing = false;
    } catch (error) {
      for (const id of ids) this.#wanted.add(id);
      if (!this.#failing)
        this.#o.log.warn({ err: asFleetwireError(error) }, 'agents cannot be read ahead now');
      this.#failing = true;
    }
  }
}
