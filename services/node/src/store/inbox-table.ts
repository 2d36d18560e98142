/** Tables `seen` (decides "once"), `inbox` (messages in custody) and `unproven` (ended; proof may come). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Envelope } from '@fleetwire/gen/message';
import type { PriorityLevel } from '@fleetwire/kernel';

/** What the router and this node know of one message in custody, without its envelope. */
export interface InboxMeta {
  readonly seq: number;
  /** Of its priority. */
  readonly level: PriorityLevel;
  readonly heldAtUs: number;
  /** 0 for mail that never left this node. */
  readonly ingressAtUs: number;
  readonly routedAtUs: number;
  readonly router: string;
  readonly deadlineUs: number;
  /** False for local mail of which no copy goes to history. */
  readonly history: boolean;
}

export interface InboxRow extends InboxMeta {
  readonly agent: number;
  /** Bytes of the encoded envelope. */
  readonly size: number;
  /** The number of its delivery, once it was attempted. */
  readonly delivery: number;
}

export interface UnprovenRow {
  readonly seq: number;
  readonly delivery: number;
  readonly toNode: string;
  /** One encoded Receipt. */
  readonly receipt: Uint8Array;
}

export interface SettledRow {
  readonly id: string;
  /** The sending agent's id. */
  readonly sender: string;
  readonly attempt: number;
}

/** What tells one message, and one attempt at it, from another. */
type Message = Pick<Envelope, 'id' | 'fromAgent' | 'attempt'>;

const SETTLED_SCAN = 200_000;

export class InboxTable {
  readonly #seen: StatementSync;
  readonly #forgetEarlier: StatementSync;
  readonly #seenAgain: StatementSync;
  readonly #seqOf: StatementSync;
  readonly #insert: StatementSync;
  readonly #envelope: StatementSync;
  readonly #setDelivery: StatementSync;
  readonly #setDeadline: StatementSync;
  readonly #delete: StatementSync;
  readonly #all: StatementSync;
  readonly #insertUnproven: StatementSync;
  readonly #takeUnproven: StatementSync;
  readonly #unproven: StatementSync;
  readonly #unprovenOf: StatementSync;
  readonly #forgetSeen: StatementSync;
  readonly #settled: StatementSync;
  readonly #sweepSeen: StatementSync;
  readonly #sweepUnproven: StatementSync;

  constructor(db: DatabaseSync) {
    this.#seen = db.prepare(
      hasSenderless(db)
        ? `INSERT OR IGNORE INTO seen (id, agent, sender, at_us) SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM seen WHERE id = ?1 AND agent = ?2 AND sender = '')`
        : 'INSERT OR IGNORE INTO seen (id, agent, sender, at_us) VALUES (?, ?, ?, ?)',
    );
    this.#forgetEarlier = db.prepare(
      `DELETE FROM seen WHERE id = ? AND agent = ? AND sender IN (?, '') AND attempt < ?`,
    );
    this.#seenAgain = db.prepare(
      'INSERT OR IGNORE INTO seen (id, agent, sender, at_us, attempt) VALUES (?, ?, ?, ?, ?)',
    );
    this.#seqOf = db.prepare('SELECT seq FROM seen WHERE id = ? AND agent = ? AND sender = ?');
    this.#insert = db.prepare('INSERT INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)');
    this.#envelope = db.prepare('SELECT envelope FROM inbox WHERE agent = ? AND seq = ?');
    this.#setDelivery = db.prepare('UPDATE inbox SET delivery = ? WHERE agent = ? AND seq = ?');
    this.#setDeadline = db.prepare('UPDATE inbox SET deadline_us = ? WHERE agent = ? AND seq = ?');
    this.#delete = db.prepare('DELETE FROM inbox WHERE agent = ? AND seq = ?');
    this.#all = db.prepare(
      `SELECT agent, seq, length(envelope) AS size, held_at_us AS heldAtUs, ingress_at_us AS ingressAtUs,
         routed_at_us AS routedAtUs, router, deadline_us AS deadlineUs, history, level,
         coalesce(delivery, seq) AS delivery FROM inbox ORDER BY agent, seq`,
    );
    this.#insertUnproven = db.prepare('INSERT OR REPLACE INTO unproven VALUES (?, ?, ?, ?, ?, ?)');
    this.#takeUnproven = db.prepare(
      `DELETE FROM unproven WHERE agent = ? AND seq = ?
       RETURNING seq, coalesce(delivery, seq) AS delivery, to_node AS toNode, receipt`,
    );
    this.#unproven = db.prepare(
      'SELECT agent, seq, coalesce(delivery, seq) AS delivery FROM unproven ORDER BY seq',
    );
    this.#unprovenOf = db.prepare(
      `SELECT u.seq, coalesce(u.delivery, u.seq) AS delivery FROM seen s JOIN unproven u ON u.seq = s.seq AND u.agent = s.agent
         WHERE s.id = ? AND s.agent = ? LIMIT 1`,
    );
    this.#forgetSeen = db.prepare('DELETE FROM seen WHERE seq = ?');
    this.#settled = db.prepare(
      `SELECT id, sender, attempt FROM (SELECT * FROM seen ORDER BY seq DESC LIMIT ?) AS s
       WHERE agent = ? AND at_us >= ? AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.agent = s.agent AND i.seq = s.seq)
       LIMIT ?`,
    );
    this.#sweepSeen = db.prepare(
      `DELETE FROM seen WHERE seq IN
         (SELECT seq FROM (SELECT seq, at_us FROM seen ORDER BY seq LIMIT ?) WHERE at_us < ?)`,
    );
    this.#sweepUnproven = db.prepare(
      `DELETE FROM unproven WHERE seq IN
         (SELECT seq FROM (SELECT seq, at_us FROM unproven ORDER BY seq LIMIT ?) WHERE at_us < ?)`,
    );
  }

  /**
   * The sequence of a message for an agent that was never here before, or only by an earlier attempt; undefined: it was, so
   * this is a repetition. The same id of another sender is another message.
   */
  markSeen(message: Message, agent: number, atUs: number): number | undefined {
    const { id, fromAgent, attempt } = message;
    const { changes, lastInsertRowid } =
      attempt === 0 ? this.#seen.run(id, agent, fromAgent, atUs) : this.#seeAgain(message, agent, atUs);
    return Number(changes) === 0 ? undefined : Number(lastInsertRowid);
  }

  #seeAgain({ id, fromAgent, attempt }: Message, agent: number, atUs: number) {
    this.#forgetEarlier.run(id, agent, fromAgent, attempt);
    return this.#seenAgain.run(id, agent, fromAgent, atUs, attempt);
  }

  /** The sequence of what `sender` has sent to this agent under that id; undefined: nothing, or it is forgotten. */
  seqOf(id: string, agent: number, sender: string): number | undefined {
    return (this.#seqOf.get(id, agent, sender) as { seq: number } | undefined)?.seq;
  }

  insert(agent: number, meta: InboxMeta, envelope: Uint8Array): void {
    const { seq, level, heldAtUs, ingressAtUs, routedAtUs, router, deadlineUs, history } = meta;
    const kept = history ? 1 : 0;
    this.#insert.run(
      agent,
      seq,
      envelope,
      heldAtUs,
      ingressAtUs,
      routedAtUs,
      router,
      deadlineUs,
      kept,
      level,
    );
  }

  /** The number of a delivery, where it is not the sequence; undefined: it is, or waits again. */
  setDelivery(agent: number, seq: number, delivery: number | undefined): void {
    this.#setDelivery.run(delivery ?? null, agent, seq);
  }

  setDeadline(agent: number, seq: number, deadlineUs: number): void {
    this.#setDeadline.run(deadlineUs, agent, seq);
  }

  /** The encoded envelope of a message in custody. */
  envelope(agent: number, seq: number): Uint8Array | undefined {
    return (this.#envelope.get(agent, seq) as { envelope: Uint8Array } | undefined)?.envelope;
  }

  delete(agent: number, seq: number): void {
    this.#delete.run(agent, seq);
  }

  /** The message goes elsewhere, and may come again: then it is not a repetition. */
  forgetSeen(seq: number): void {
    this.#forgetSeen.run(seq);
  }

  /** What had its end here since `sinceUs`, newest first, at most `limit`, of the newest SETTLED_SCAN of all agents. */
  settledSince(agent: number, sinceUs: number, limit: number): SettledRow[] {
    return this.#settled.all(SETTLED_SCAN, agent, sinceUs, limit) as unknown as SettledRow[];
  }

  /** Everything in custody, by agent, in order. */
  load(): InboxRow[] {
    return (this.#all.all() as unknown as (Omit<InboxRow, 'history'> & { history: number })[]).map((row) => ({
      ...row,
      history: row.history === 1,
    }));
  }

  insertUnproven(agent: number, row: UnprovenRow, atUs: number): void {
    const { seq, delivery, toNode, receipt } = row;
    this.#insertUnproven.run(seq, agent, toNode, receipt, atUs, delivery === seq ? null : delivery);
  }

  /** Which messages may still be proved, oldest first. */
  loadUnproven(): { agent: number; seq: number; delivery: number }[] {
    return this.#unproven.all() as unknown as { agent: number; seq: number; delivery: number }[];
  }

  /** The one that came to this agent under that id, of whichever sender. */
  unprovenOf(id: string, agent: number): { seq: number; delivery: number } | undefined {
    return this.#unprovenOf.get(id, agent) as { seq: number; delivery: number } | undefined;
  }

  /** Gives and removes the row; undefined when there is none (any more). */
  takeUnproven(agent: number, seq: number): UnprovenRow | undefined {
    return this.#takeUnproven.get(agent, seq) as unknown as UnprovenRow | undefined;
  }

  /** Forgets what was seen before `beforeUs`, at most `limit` rows a step; gives how many. */
  sweep(beforeUs: number, limit: number): number {
    this.#sweepUnproven.run(limit, beforeUs);
    return Number(this.#sweepSeen.run(limit, beforeUs).changes);
  }
}

/** True while rows of an earlier version, which did not note the sender, are remembered; they are the oldest. */
function hasSenderless(db: DatabaseSync): boolean {
  const oldest = db.prepare('SELECT sender FROM seen ORDER BY seq LIMIT 1').get() as
    | { sender: string }
    | undefined;
  return oldest?.sender === '';
}
