/** Tables of the schema `org`. Moments are milliseconds since the Unix epoch. Secrets are kept as SHA-256 only. */

import { defineEntity, type InferEntity, p } from '@fleetwire/store';

const text = () => p.string().columnType('text');

export const Org = defineEntity({
  name: 'Org',
  tableName: 'orgs',
  properties: {
    id: text().primary(),
    slug: text().unique(),
    name: text(),
    ownerEmail: text(),
    createdAtMs: p.bigint('number'),
  },
});
export type OrgRow = InferEntity<typeof Org>;

export const User = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: text().primary(),
    org: text(),
    email: text(),
    /** owner, admin or member. */
    role: text(),
    createdAtMs: p.bigint('number'),
  },
  uniques: [{ name: 'users_org_email', properties: ['org', 'email'] }],
});
export type UserRow = InferEntity<typeof User>;

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
    createdAtMs: p.bigint('number'),
    expiresAtMs: p.bigint('number').strictNullable(),
    revokedAtMs: p.bigint('number').strictNullable(),
    lastUsedAtMs: p.bigint('number').strictNullable(),
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
    createdAtMs: p.bigint('number'),
    expiresAtMs: p.bigint('number'),
    usedAtMs: p.bigint('number').strictNullable(),
    /** Public key of the machine that joined with it. */
    usedBy: text().strictNullable(),
  },
});
export type JoinTokenRow = InferEntity<typeof JoinToken>;

export const entities = [Org, User, ApiKey, JoinToken];
