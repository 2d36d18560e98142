/** Tables of the schema `org`: what happened, what is still to be told, what was used. */

import { defineEntity, p } from '@fleetwire/store';

const text = () => p.string().columnType('text');
const moment = () => p.bigint('number');
const serial = () => p.bigint('number').primary().autoincrement();

/** Append-only: a trigger refuses updates, and deletions of what is younger than the retention. */
export const Audit = defineEntity({
  name: 'Audit',
  tableName: 'audit',
  properties: {
    id: serial(),
    org: text(),
    atMs: moment(),
    actorKind: text(),
    actor: text(),
    action: text(),
    target: text(),
    /** allowed or denied. */
    decision: text(),
    reason: text(),
    peer: text(),
    details: p.json<Readonly<Record<string, string>>>().columnType('jsonb'),
  },
  indexes: [
    { name: 'audit_org', properties: ['org', 'id'] },
    { name: 'audit_at', properties: ['atMs'] },
    { name: 'audit_org_at', properties: ['org', 'atMs'] },
  ],
});

/** Events that are committed but perhaps not published yet. */
export const OutboxEvent = defineEntity({
  name: 'OutboxEvent',
  tableName: 'event_outbox',
  properties: {
    id: serial(),
    /** Also the dedupe id. */
    eventId: text(),
    org: text(),
    name: text(),
    actor: text(),
    target: text(),
    details: p.json<Readonly<Record<string, string>>>().columnType('jsonb'),
    atMs: moment(),
    traceparent: text(),
  },
});

/** Creates that were done under a key of the caller's, for a day. */
export const Idempotency = defineEntity({
  name: 'Idempotency',
  tableName: 'idempotency',
  properties: {
    org: text().primary(),
    actor: text().primary(),
    operation: text().primary(),
    key: text().primary(),
    /** SHA-256 of the request. */
    requestHash: text(),
    resource: text(),
    createdAtMs: moment(),
  },
  indexes: [{ name: 'idempotency_created', properties: ['createdAtMs'] }],
});

export const UsageDay = defineEntity({
  name: 'UsageDay',
  tableName: 'usage_days',
  properties: {
    org: text().primary(),
    /** YYYY-MM-DD, UTC. */
    day: text().primary(),
    messages: moment(),
    bytes: moment(),
    agents: moment(),
    nodes: moment(),
  },
});

/** Webhook events of the billing provider that were taken, so that a repeated one is known. */
export const BillingEvent = defineEntity({
  name: 'BillingEvent',
  tableName: 'billing_events',
  properties: { id: text().primary(), type: text(), receivedAtMs: moment() },
  indexes: [{ name: 'billing_events_received', properties: ['receivedAtMs'] }],
});

export const recordEntities = [Audit, OutboxEvent, Idempotency, UsageDay, BillingEvent];
