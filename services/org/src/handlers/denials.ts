/** Writes refusals into the audit, bounded: a caller that is refused without end must not fill the disk. */

import { keepNewest } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { type AuditEntry, writeAudit } from '../store/records.ts';

/** Entries of one actor in one org within a minute; the rest is counted, and said with the next one. */
const PER_MINUTE = 30;
const ACTORS_MAX = 10_000;

interface Window {
  minute: number;
  written: number;
  suppressed: number;
}

export class Denials {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #windows = new Map<string, Window>();

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Never rejects: that it could not be written must not hide why the call was refused. */
  async write(entry: AuditEntry): Promise<void> {
    const suppressed = this.#admit(entry);
    if (suppressed === undefined) return;
    const details = suppressed === 0 ? entry.details : { ...entry.details, suppressed: String(suppressed) };
    try {
      await writeAudit(
        (sql, params) => this.#store.query(sql, params),
        details === undefined ? entry : { ...entry, details },
      );
    } catch (error) {
      this.#log.warn({ err: error, action: entry.action, org: entry.org }, 'a refusal was not audited');
    }
  }

  /** How many were left out before this one; undefined: leave this one out too. */
  #admit({ org, actor, atMs }: AuditEntry): number | undefined {
    const key = `${org}.${actor}`;
    const minute = Math.floor(atMs / 60_000);
    let window = this.#windows.get(key);
    if (window === undefined || window.minute !== minute) {
      window = { minute, written: 0, suppressed: window?.suppressed ?? 0 };
      this.#windows.delete(key);
      this.#windows.set(key, window);
      keepNewest(this.#windows, ACTORS_MAX);
    }
    if (window.written >= PER_MINUTE) {
      window.suppressed += 1;
      return undefined;
    }
    window.written += 1;
    const { suppressed } = window;
    window.suppressed = 0;
    return suppressed;
  }
}
