/**
 * What every call on an org goes through: who calls, which org, which role, and then the work itself, in one transaction
 * with its audit entry and its events. Refusals are audited too.
 */

import type { EventName } from '@fleetwire/contract';
import type { Caller } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';
import { callerOf } from '@fleetwire/rpc';
import type { StoreTransaction } from '@fleetwire/store';
import { grantOf, isOperator, notOwn, OPERATOR, reachesOthers, refusalByToken } from '../domain/authorize.ts';
import { type Operation, PERMISSIONS, type Role } from '../domain/permissions.ts';
import { membershipOf, type OrgRecord, orgByIdOrSlug } from '../store/orgs.ts';
import { type AuditEntry, tellChange, writeAudit } from '../store/records.ts';
import { nowMs, type OrgParts } from './parts.ts';

export type Call = RpcContext<Caller>;

/** What the work of a call gets. */
export interface Act {
  readonly operation: Operation;
  readonly org: OrgRecord;
  /** The calling user's id, or `operator`. */
  readonly actor: string;
  readonly role: Role | typeof OPERATOR;
  readonly caller: Caller;
  readonly nowMs: number;
  readonly query: StoreTransaction['query'];
  readonly em: StoreTransaction['em'];
  /** Throws ROLE_TOO_LOW unless the caller may do this to everybody's, or it is their own. */
  mustOwn(user: string): void;
  /** True where the caller may act on what belongs to others. */
  readonly onOthers: boolean;
  /** What the audit entry of this call is about. */
  about(target: string, details?: Readonly<Record<string, string>>): void;
  /** An event for other services, published with the org's new state after the commit. */
  tell(name: EventName<'org'>, target: string, details?: Readonly<Record<string, string>>): Promise<void>;
}

/** For calls on no org in particular: who calls, when the token is enough. A refusal is audited in the org of the caller. */
export async function admitted(parts: OrgParts, operation: Operation, call: Call): Promise<Caller> {
  const caller = callerOf(call);
  const refused = refusalByToken(operation, caller);
  if (refused) await refuse(parts, operation, call, refused);
  return caller;
}

/** Throws `error`, audited in the org of the caller. */
export async function refuse(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  error: FleetwireError,
): Promise<never> {
  await auditRefusal(parts, operation, call, { org: callerOf(call).org, target: '' }, error);
  throw error;
}

/** Reads only: no lock, and nothing in the audit unless it was refused. */
export function look<T>(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  org: string,
  work: (act: Act) => Promise<T>,
): Promise<T> {
  return acting(parts, operation, call, org, 'look', work);
}

/** Changes: the org's row is locked first, so that changes of one org come one after the other. */
export async function change<T>(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  org: string,
  work: (act: Act) => Promise<T>,
): Promise<T> {
  const result = await acting(parts, operation, call, org, 'change', work);
  parts.committed();
  return result;
}

async function acting<T>(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  named: string,
  mode: 'look' | 'change',
  work: (act: Act) => Promise<T>,
): Promise<T> {
  const caller = callerOf(call);
  const seen: Seen = { org: caller.org, target: '', details: undefined };
  try {
    const refused = refusalByToken(operation, caller);
    if (refused) throw refused;
    return await parts.store.transaction(async (tx) => {
      const org = await orgOf(tx, caller, named, mode);
      seen.org = org.id;
      const role = await roleOf(tx, operation, caller, org);
      const act = actOf(parts, operation, call, org, role, tx, seen);
      mustBeOpen(operation, org);
      const result = await work(act);
      if (mode === 'change' || (role === OPERATOR && LOOKED_AT.has(operation)))
        await writeAudit(tx.query, entryOf(act, call, seen));
      return result;
    });
  } catch (thrown) {
    await auditRefusal(parts, operation, call, seen, asFleetwireError(thrown));
    throw thrown;
  }
}

/** When whoever runs the fabric looks at other people's people or doings, they can see that. */
const LOOKED_AT: ReadonlySet<Operation> = new Set(['listMembers', 'listAudit', 'exportAudit']);

/** What the audit will say of the call. */
interface Seen {
  org: string;
  target: string;
  details: Readonly<Record<string, string>> | undefined;
}

/** Another org's id looks like one that does not exist. */
async function orgOf(
  tx: StoreTransaction,
  caller: Caller,
  named: string,
  mode: 'look' | 'change',
): Promise<OrgRecord> {
  const operator = caller.kind === 'service';
  if (!operator && named !== '' && named !== caller.org) throw orgUnknown();
  const org = await orgByIdOrSlug(tx.query, operator ? named : caller.org, mode === 'change');
  if (org === undefined) throw orgUnknown();
  return org;
}

async function roleOf(
  tx: StoreTransaction,
  operation: Operation,
  caller: Caller,
  org: OrgRecord,
): Promise<Role | typeof OPERATOR> {
  if (caller.kind === 'service') return OPERATOR;
  const membership = await membershipOf(tx.query, org.id, caller.subject);
  const role = membership?.role as Role | undefined;
  const grant = grantOf(operation, role);
  if (grant instanceof FleetwireError) throw grant;
  return role!;
}

function actOf(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  org: OrgRecord,
  role: Role | typeof OPERATOR,
  tx: StoreTransaction,
  seen: Seen,
): Act {
  const caller = callerOf(call);
  const onOthers = role === OPERATOR || reachesOthers(operation, role, caller.scopes);
  const at = nowMs(parts.clock);
  const actor = caller.subject;
  const act: Act = {
    operation,
    org,
    actor,
    role,
    caller,
    nowMs: at,
    query: tx.query,
    em: tx.em,
    onOthers,
    mustOwn(user) {
      if (!onOthers && user !== actor) throw notOwn(operation, role as Role, caller.scopes);
    },
    about(target, details) {
      seen.target = target;
      if (details !== undefined) seen.details = details;
    },
    async tell(name, target, details = {}) {
      const { traceparent } = call;
      await tellChange(tx.query, { org: org.id, name, actor, target, details, atMs: at, traceparent });
    },
  };
  return act;
}

/** What is being deleted changes no more; what was deleted only the operator sees. */
function mustBeOpen(operation: Operation, org: OrgRecord): void {
  if (org.status === 'active' || PERMISSIONS[operation].for === 'services') return;
  if (operation === 'getOrg' || operation === 'listAudit' || operation === 'exportAudit') return;
  throw orgClosed();
}

export function orgUnknown(): FleetwireError {
  return new FleetwireError('not_found', 'ORG_UNKNOWN', 'there is no such org');
}

function orgClosed(): FleetwireError {
  return new FleetwireError('failed_precondition', 'ORG_CLOSED', 'this org is deleted, or being deleted', {
    help: 'The operator of the fabric can restore it within 30 days.',
  });
}

function entryOf(act: Act, call: Call, { target, details }: Seen): AuditEntry {
  return {
    org: act.org.id,
    atMs: act.nowMs,
    actorKind: kindOf(act.caller),
    actor: act.actor,
    action: PERMISSIONS[act.operation].action,
    target,
    decision: 'allowed',
    peer: call.peer,
    ...(details === undefined ? {} : { details }),
  };
}

/** Kind of the actor in the audit. */
export const kindOf = (caller: Caller) => (isOperator(caller) ? OPERATOR : caller.kind);

/** What reaches for more than anybody may have, or for another org's. */
const REACHING = ['ORG_UNKNOWN', 'INVALID_ROLE', 'OWNER_CANNOT_BE_REMOVED', 'OWNER_ROLE_FIXED'];

/** What a caller names may be of any length. */
const TARGET_CHARS = 100;

/** Only what was refused for want of a right; a slip in the request is no matter for the audit. */
async function auditRefusal(
  parts: OrgParts,
  operation: Operation,
  call: Call,
  seen: { readonly org: string; readonly target: string },
  error: FleetwireError,
): Promise<void> {
  if (error.kind !== 'permission_denied' && !REACHING.includes(error.reason)) return;
  // A service's call names no org of its own.
  if (seen.org === '') return;
  const caller = callerOf(call);
  await parts.denials.write({
    org: seen.org,
    atMs: nowMs(parts.clock),
    actorKind: kindOf(caller),
    actor: caller.subject,
    action: PERMISSIONS[operation].action,
    target: seen.target.slice(0, TARGET_CHARS),
    decision: 'denied',
    reason: error.reason,
    peer: call.peer,
  });
}
