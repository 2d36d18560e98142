/** Tables of the schema `org`: keys, tokens, policies. */

import { defineEntity, type InferEntity, p } from '@fleetwire/store';

const text = () => p.string().columnType('text');
const moment = () => p.bigint('number');

export const ApiKey = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  properties: {
    id: text().primary(),
    org: text().index('api_keys_org'),
    /** Whose key it is: the subject of its tokens. */
    userId: text(),
    name: text(),
    prefix: text(),
    hash: text().unique(),
    scopes: p.array().columnType('text[]'),
    createdAtMs: moment(),
    expiresAtMs: moment().strictNullable(),
    revokedAtMs: moment().strictNullable(),
    lastUsedAtMs: moment().strictNullable(),
  },
});
export type ApiKeyRow = InferEntity<typeof ApiKey>;

export const JoinToken = defineEntity({
  name: 'JoinToken',
  tableName: 'join_tokens',
  properties: {
    hash: text().primary(),
    id: text(),
    org: text().index('join_tokens_org'),
    createdBy: text(),
    /** The API key that it was asked for with. */
    keyId: text().strictNullable(),
    createdAtMs: moment(),
    expiresAtMs: moment(),
    usedAtMs: moment().strictNullable(),
    /** Public key of the machine that joined with it. */
    usedBy: text().strictNullable(),
    /** Somebody ended it before anybody joined with it. */
    revokedAtMs: moment().strictNullable(),
  },
});
export type JoinTokenRow = InferEntity<typeof JoinToken>;

/** Tokens that are no longer good, until the last of them has expired by itself. */
export const Revocation = defineEntity({
  name: 'Revocation',
  tableName: 'revocations',
  properties: {
    org: text().primary(),
    /** user, key or org. */
    kind: text().primary(),
    subject: text().primary(),
    issuedUntilMs: moment(),
    /** Forgotten then. */
    untilMs: moment().index('revocations_until'),
  },
});

export const Policy = defineEntity({
  name: 'Policy',
  tableName: 'policies',
  properties: {
    id: text().primary(),
    org: text().index('policies_org'),
    /** org, user, workspace or repo. */
    level: text(),
    /** Id of what it is for; empty at the level org. */
    subject: text(),
    name: text(),
    description: text(),
    priority: p.integer(),
    /** PolicyRule messages in their JSON form. */
    rules: p.json<readonly unknown[]>().columnType('jsonb'),
    disabled: p.boolean(),
    createdBy: text(),
    createdAtMs: moment(),
    updatedAtMs: moment(),
    version: moment(),
  },
  indexes: [
    {
      name: 'policies_name',
      expression: 'create unique index policies_name on policies (org, level, subject, lower(name))',
    },
  ],
});

export const accessEntities = [ApiKey, JoinToken, Revocation, Policy];
