/**
 * Carries deletions of orgs on, step by step. Each step and the note that it was done are one transaction, so a replica
 * that dies leaves a step either undone or done, and any other goes on from there.
 */

import type { EventName } from '@fleetwire/contract';
import { asFleetwireError, backoffMs, type Clock, nowMs } from '@fleetwire/kernel';
import type { Store, StoreTransaction } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { type DeletionStep, stepAfter } from '../domain/deletion.ts';
import { endJoinTokens } from '../store/join-tokens.ts';
import type { OrgRecord } from '../store/orgs.ts';
import { tellChange, writeAudit } from '../store/records.ts';

export interface DeletionParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resolves when the provider has no live subscription of the org. */
  readonly cancelSubscription: (org: string) => Promise<void>;
  readonly committed: () => void;
  /** Deletions that failed, kept between the rounds: empty at first. */
  readonly waits: Map<string, Wait>;
}

export interface Wait {
  readonly failures: number;
  /** By the monotonic clock. */
  readonly untilMs: number;
}

const RETRY = { initialMs: 1000, maxMs: 60_000 };

const BATCH = 20;

/** One round over all orgs that are being deleted, also those behind others that are stuck; gives how many steps were done. */
export async function advanceDeletions(parts: DeletionParts): Promise<number> {
  let done = 0;
  for (let after = ''; ; ) {
    const due = await parts.store.query<{ id: string; deletion_step: DeletionStep }>(
      `select id, deletion_step from orgs
       where status = 'deleting' and deletion_step <> 'clear_agents' and id > $1 order by id limit $2`,
      [after, BATCH],
    );
    for (const { id, deletion_step: step } of due) if (await tried(parts, id, step)) done += 1;
    if (due.length < BATCH) return done;
    after = due.at(-1)!.id;
  }
}

async function tried(parts: DeletionParts, id: string, step: DeletionStep): Promise<boolean> {
  const { waits, clock } = parts;
  const wait = waits.get(id);
  if (wait !== undefined && clock.monotonicMs() < wait.untilMs) return false;
  try {
    const done = await advance(parts, id, step);
    waits.delete(id);
    return done;
  } catch (error) {
    const failures = (wait?.failures ?? 0) + 1;
    waits.set(id, { failures, untilMs: clock.monotonicMs() + backoffMs(RETRY, failures) });
    const { reason, message } = asFleetwireError(error);
    parts.log.warn({ org: id, step, failures, reason, message }, 'a deletion waits');
    return false;
  }
}

async function advance(parts: DeletionParts, id: string, step: DeletionStep): Promise<boolean> {
  // Outside of any transaction: it may take long, and doing it twice does no harm.
  if (step === 'cancel_subscription') await parts.cancelSubscription(id);
  const done = await parts.store.transaction(async ({ query }) => {
    const [org] = await query<OrgRecord>(
      `select * from orgs where id = $1 and status = 'deleting' and deletion_step = $2 for update skip locked`,
      [id, step],
    );
    if (org === undefined) return false;
    const now = nowMs(parts.clock);
    await STEPS[step](query, org, now);
    const next = stepAfter(step) ?? null;
    await query('update orgs set deletion_step = $2 where id = $1', [id, next]);
    const said = { org: id, actor: 'org', target: id, atMs: now };
    await writeAudit(query, {
      ...said,
      actorKind: 'service',
      action: `org.delete.${step}`,
      decision: 'allowed',
      peer: '',
    });
    const name = EVENTS[next ?? 'end'];
    if (name !== undefined) await tellChange(query, { ...said, name, traceparent: '' });
    return true;
  });
  if (done) parts.committed();
  return done;
}

/** What others must know of: the registry's turn, and the end. */
const EVENTS: Readonly<Partial<Record<DeletionStep | 'end', EventName<'org'>>>> = {
  clear_agents: 'org_clearing',
  end: 'org_deleted',
};

type Step = (query: StoreTransaction['query'], org: OrgRecord, nowMs: number) => Promise<void>;

const STEPS: Readonly<Record<DeletionStep, Step>> = {
  // Done by `cancelSubscription`.
  cancel_subscription: async () => undefined,
  // Done by ConfirmCleared.
  clear_agents: async () => undefined,
  suspend_workspaces: async (query, org, nowMs) => {
    await query('delete from assignments where org = $1', [org.id]);
    await query(
      `update workspaces set deletion = $2, deleted_at_ms = $3, version = version + 1,
         status_before = case when status = 'suspended' then status_before else status end, status = 'suspended'
       where org = $1 and deleted_at_ms is null`,
      [org.id, org.deletion, nowMs],
    );
  },
  delete_memberships: async (query, org, nowMs) => {
    await query(
      `insert into former_memberships (org, user_id, role, invited_by, joined_at_ms)
       select org, user_id, role, invited_by, joined_at_ms from memberships where org = $1`,
      [org.id],
    );
    await query('delete from memberships where org = $1', [org.id]);
    await query(
      'update invites set revoked_at_ms = $2 where org = $1 and accepted_at_ms is null and revoked_at_ms is null',
      [org.id, nowMs],
    );
    await query(`update mails set state = 'failed', body = '' where org = $1 and state = 'waiting'`, [
      org.id,
    ]);
    await endJoinTokens(query, org.id, nowMs);
  },
  delete_org: async (query, org, nowMs) => {
    await query(
      `update orgs set status = 'deleted', deleted_at_ms = $2, version = version + 1 where id = $1`,
      [org.id, nowMs],
    );
  },
};
