/** Reads and writes policies. */

import { Policy, PolicyRule } from '@fleetwire/gen/access';
import type { StoreTransaction } from '@fleetwire/store';

type Query = StoreTransaction['query'];

interface PolicyRecord {
  readonly id: string;
  readonly level: string;
  readonly subject: string;
  readonly name: string;
  readonly description: string;
  readonly priority: number;
  readonly rules: readonly unknown[];
  readonly disabled: boolean;
  readonly created_by: string;
  readonly created_at_ms: number;
  readonly updated_at_ms: number;
  readonly version: number;
}

export async function policyById(query: Query, org: string, id: string): Promise<Policy | undefined> {
  const rows = await query<PolicyRecord>('select * from policies where org = $1 and id = $2', [org, id]);
  return rows[0] === undefined ? undefined : policyOf(rows[0]);
}

export async function policiesOf(
  query: Query,
  org: string,
  filter: {
    readonly after: string;
    readonly level: string;
    readonly subject: string;
    readonly limit: number;
  },
): Promise<Policy[]> {
  const rows = await query<PolicyRecord>(
    `select * from policies where org = $1 and id > $2 and ($3 = '' or level = $3) and ($4 = '' or subject = $4)
     order by id limit $5`,
    [org, filter.after, filter.level, filter.subject, filter.limit],
  );
  return rows.map(policyOf);
}

/** All that are in force. */
export async function enabledPolicies(query: Query, org: string): Promise<Policy[]> {
  const rows = await query<PolicyRecord>(
    'select * from policies where org = $1 and not disabled order by id',
    [org],
  );
  return rows.map(policyOf);
}

export async function insertPolicy(query: Query, org: string, policy: Policy): Promise<void> {
  await query(
    `insert into policies (id, org, level, subject, name, description, priority, rules, disabled, created_by,
       created_at_ms, updated_at_ms, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      policy.id,
      org,
      policy.level,
      policy.subject,
      policy.name,
      policy.description,
      policy.priority,
      rulesJson(policy),
      policy.disabled,
      policy.createdBy,
      policy.createdAtMs,
      policy.updatedAtMs,
      policy.version,
    ],
  );
}

/** Level and subject stay. */
export async function rewritePolicy(query: Query, org: string, policy: Policy): Promise<void> {
  await query(
    `update policies set name = $3, description = $4, priority = $5, rules = $6, disabled = $7,
       updated_at_ms = $8, version = version + 1 where org = $1 and id = $2`,
    [
      org,
      policy.id,
      policy.name,
      policy.description,
      policy.priority,
      rulesJson(policy),
      policy.disabled,
      policy.updatedAtMs,
    ],
  );
}

const rulesJson = (policy: Policy) => JSON.stringify(policy.rules.map((rule) => PolicyRule.toJSON(rule)));

function policyOf(row: PolicyRecord): Policy {
  return Policy.fromPartial({
    id: row.id,
    level: row.level,
    subject: row.subject,
    name: row.name,
    description: row.description,
    priority: row.priority,
    rules: row.rules.map((rule) => PolicyRule.fromJSON(rule)),
    disabled: row.disabled,
    createdBy: row.created_by,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    version: row.version,
  });
}
