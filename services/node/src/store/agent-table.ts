/** Tables `agents` (whom this node hosts) and `meta` (a few facts about the node itself). */

import { randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { QueueSettings } from '@fleetwire/gen/node';
import { AgentProfile } from '@fleetwire/gen/registry';

export type AdapterKind = 'tmux' | 'stdio' | 'stream' | 'mailbox';

/** What a program needs to be started (again), and how much may wait for it. */
export interface ProgramSpec {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Absent: as the node is configured. */
  readonly queue?: QueueSettings | undefined;
}

/** How far the mail of an agent was attempted: never again, unless the client can tell. */
export interface Attempts {
  /** By level, the lowest first: every message up to this sequence. */
  readonly upTo: readonly number[];
  /** The highest number of a delivery. */
  readonly last: number;
}

export const NO_ATTEMPTS: Attempts = { upTo: [0, 0, 0, 0], last: 0 };

const SECRET_KEY = 'secret';

export const NO_PROGRAM: ProgramSpec = { command: [], cwd: '', env: {} };

export interface AgentRow {
  readonly num: number;
  readonly id: string;
  readonly name: string;
  readonly adapter: AdapterKind;
  readonly spec: ProgramSpec;
  readonly handle: string;
  /** Part of the agent's token: another one makes the tokens before it invalid. */
  readonly tokenEpoch: number;
  readonly attempts: Attempts;
  /** The last session's client remembers what it has taken. */
  readonly resuming: boolean;
  /** Removed here, not yet at the registry. */
  readonly removed: boolean;
  /** What it says of itself; undefined: nothing yet. */
  readonly profile: AgentProfile | undefined;
  /** Its id when it came to this node. Tokens and its folder go by it, for the id may change while its program runs. */
  readonly localId: string;
}

type NewRow = Pick<AgentRow, 'id' | 'name' | 'adapter' | 'spec'> & {
  readonly profile?: AgentProfile | undefined;
};

export class AgentTable {
  readonly #db: DatabaseSync;
  readonly #attempted: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#attempted = db.prepare(
      `UPDATE agents SET attempted_system = ?, attempted_high = ?, attempted_up_to = ?, attempted_low = ?,
         delivered_up_to = ? WHERE num = ?`,
    );
  }

  insert(row: NewRow, folded: string): AgentRow {
    const sql = `INSERT INTO agents (id, local_id, name, folded, adapter, spec, profile)
      VALUES (?, ?, ?, ?, ?, ?, ?)`;
    const { id, name, adapter, profile } = row;
    const columns = [id, id, name, folded, adapter, JSON.stringify(row.spec), profileText(profile)];
    const { lastInsertRowid } = this.#db.prepare(sql).run(...columns);
    const fresh = { handle: '', tokenEpoch: 1, attempts: NO_ATTEMPTS, resuming: false, removed: false };
    return { num: Number(lastInsertRowid), ...row, ...fresh, profile, localId: id };
  }

  load(): AgentRow[] {
    const sql = `SELECT num, id, name, adapter, spec, handle, token_epoch AS tokenEpoch,
      attempted_system AS system, attempted_high AS high, attempted_up_to AS normal, attempted_low AS low,
      delivered_up_to AS last, resuming, removed, profile, local_id AS localId FROM agents ORDER BY num`;
    return (this.#db.prepare(sql).all() as unknown as Record<string, unknown>[]).map(
      (row) =>
        ({
          ...row,
          attempts: { upTo: [row['low'], row['normal'], row['high'], row['system']], last: row['last'] },
          spec: JSON.parse(row['spec'] as string),
          resuming: row['resuming'] === 1,
          removed: row['removed'] === 1,
          profile:
            row['profile'] === '' ? undefined : AgentProfile.fromJSON(JSON.parse(row['profile'] as string)),
        }) as unknown as AgentRow,
    );
  }

  setAttempted(num: number, { upTo, last }: Attempts): void {
    const [low = 0, normal = 0, high = 0, system = 0] = upTo;
    this.#attempted.run(system, high, normal, low, last, num);
  }

  setSpec(num: number, spec: ProgramSpec): void {
    this.#db.prepare('UPDATE agents SET spec = ? WHERE num = ?').run(JSON.stringify(spec), num);
  }

  setResuming(num: number, resuming: boolean): void {
    this.#db.prepare('UPDATE agents SET resuming = ? WHERE num = ?').run(resuming ? 1 : 0, num);
  }

  setHandle(num: number, handle: string): void {
    this.#db.prepare('UPDATE agents SET handle = ? WHERE num = ?').run(handle, num);
  }

  /** Another program under the same agent: its own spec, no handle, earlier tokens invalid. */
  setProgram(num: number, spec: ProgramSpec, adapter: AdapterKind): void {
    const sql = `UPDATE agents SET spec = ?, adapter = ?, handle = '', token_epoch = token_epoch + 1 WHERE num = ?`;
    this.#db.prepare(sql).run(JSON.stringify(spec), adapter, num);
  }

  setId(num: number, id: string): void {
    this.#db.prepare('UPDATE agents SET id = ? WHERE num = ?').run(id, num);
  }

  setName(num: number, name: string, folded: string): void {
    this.#db.prepare('UPDATE agents SET name = ?, folded = ? WHERE num = ?').run(name, folded, num);
  }

  setProfile(num: number, profile: AgentProfile): void {
    this.#db.prepare('UPDATE agents SET profile = ? WHERE num = ?').run(profileText(profile), num);
  }

  /** Its name is free for others; the row stays for what is still to be handed over. */
  freeName(num: number): void {
    this.#db.prepare('UPDATE agents SET folded = id WHERE num = ?').run(num);
  }

  /** It lives here again, under this name. */
  takeBack(num: number, name: string, folded: string, adapter: AdapterKind): void {
    const sql = `UPDATE agents SET name = ?, folded = ?, adapter = ?, token_epoch = token_epoch + 1 WHERE num = ?`;
    this.#db.prepare(sql).run(name, folded, adapter, num);
  }

  markRemoved(num: number): void {
    this.#db.prepare('UPDATE agents SET removed = 1 WHERE num = ?').run(num);
  }

  delete(num: number): void {
    this.#db.prepare('DELETE FROM agents WHERE num = ?').run(num);
  }

  meta(key: string): string | undefined {
    const row = this.#db.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    return (row as { value: string } | undefined)?.value;
  }

  setMeta(key: string, value: string): void {
    this.#db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(key, value);
  }

  /** Random, the node's own, made when it is first asked for and the same from then on. */
  secret(): Uint8Array {
    const known = this.meta(SECRET_KEY);
    if (known !== undefined) return Buffer.from(known, 'hex');
    const made = randomBytes(32);
    this.setMeta(SECRET_KEY, made.toString('hex'));
    return made;
  }
}

function profileText(profile: AgentProfile | undefined): string {
  return profile === undefined ? '' : JSON.stringify(AgentProfile.toJSON(profile));
}
