/** Writes what happened, in the transaction in which it happens: audit entries, and events for other services. */

import type { EventName } from '@fleetwire/contract';
import { newId } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';

export interface AuditEntry {
  readonly org: string;
  readonly atMs: number;
  /** user, service, operator or invitee. */
  readonly actorKind: string;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly decision: 'allowed' | 'denied';
  readonly reason?: string;
  readonly peer: string;
  readonly details?: Readonly<Record<string, string>>;
}

export interface NewEvent {
  readonly org: string;
  readonly name: EventName<'org'>;
  readonly actor: string;
  readonly target: string;
  readonly details?: Readonly<Record<string, string>>;
  readonly atMs: number;
  readonly traceparent: string;
}

type Query = StoreTransaction['query'];

export async function writeAudit(query: Query, entry: AuditEntry): Promise<void> {
  await query(
    `insert into audit (org, at_ms, actor_kind, actor, action, target, decision, reason, peer, details)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      entry.org,
      entry.atMs,
      entry.actorKind,
      entry.actor,
      entry.action,
      entry.target,
      entry.decision,
      entry.reason ?? '',
      entry.peer,
      JSON.stringify(entry.details ?? {}),
    ],
  );
}

/** The relay publishes it once the transaction is committed. For a new org; changes of one go by `tellChange`. */
export async function writeEvent(query: Query, event: NewEvent): Promise<void> {
  await query(
    `insert into event_outbox (event_id, org, name, actor, target, details, at_ms, traceparent)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      newId('event'),
      event.org,
      event.name,
      event.actor,
      event.target,
      JSON.stringify(event.details ?? {}),
      event.atMs,
      event.traceparent,
    ],
  );
}

/** An event, and a state of the org that is newer than what others know: it is published with the event. */
export async function tellChange(query: Query, event: NewEvent): Promise<void> {
  await writeEvent(query, event);
  await query('update orgs set state_version = state_version + 1 where id = $1', [event.org]);
}
