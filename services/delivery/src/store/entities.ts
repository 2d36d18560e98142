/** The tables as entities: they document the columns, and a test holds them and the migrations together. */

import { defineEntity, p, SecretEntity } from '@fleetwire/store';

/** One accepted message; what is searched for is a column, the rest is in the envelope as it came. */
export const MessageEntity = defineEntity({
  name: 'Message',
  tableName: 'messages',
  indexes: [
    { name: 'messages_by_time', properties: ['org', 'acceptedAtUs', 'id'] },
    { name: 'messages_by_sender', properties: ['org', 'fromAgent', 'acceptedAtUs'] },
    { name: 'messages_by_correlation', properties: ['org', 'correlationId'], where: 'correlation_id <> id' },
    { name: 'messages_by_age', properties: ['ingressAtUs'], type: 'brin' },
  ],
  properties: {
    org: p.text().primary(),
    id: p.text().primary(),
    acceptedAtUs: p.bigint('number').fieldName('accepted_at_us'),
    ingressAtUs: p.bigint('number').fieldName('ingress_at_us'),
    fromAgent: p.text().fieldName('from_agent'),
    toAddress: p.text().fieldName('to_address'),
    correlationId: p.text().fieldName('correlation_id'),
    envelope: p.blob(),
  },
});

/** What became of a message for one recipient; `receipt` is all its receipts merged into one. */
export const SettlementEntity = defineEntity({
  name: 'Settlement',
  tableName: 'settlements',
  indexes: [
    { name: 'settlements_by_recipient', properties: ['org', 'recipient', 'messageId'] },
    { name: 'settlements_by_age', properties: ['storedAtUs'], type: 'brin' },
  ],
  properties: {
    org: p.text().primary(),
    messageId: p.text().primary().fieldName('message_id'),
    recipient: p.text().primary(),
    stage: p.smallint(),
    final: p.boolean(),
    deliveredEnds: p.boolean().fieldName('delivered_ends'),
    reason: p.text(),
    atUs: p.bigint('number').fieldName('at_us'),
    publishers: p.text(),
    storedAtUs: p.bigint('number').fieldName('stored_at_us'),
    receipt: p.blob(),
  },
});

/** A dead letter as it was published, for people to look at. */
export const DeadLetterEntity = defineEntity({
  name: 'DeadLetter',
  tableName: 'dead_letters',
  indexes: [{ name: 'dead_letters_by_message', properties: ['org', 'messageId'] }],
  properties: {
    storedAtUs: p.bigint('number').primary().fieldName('stored_at_us'),
    sequence: p.bigint('number').primary(),
    org: p.text(),
    agent: p.text(),
    messageId: p.text().fieldName('message_id'),
    reason: p.text(),
    letter: p.blob(),
  },
});

/** What an org used on one UTC day of the broker's; a trigger adds to it what is inserted into `messages`. */
export const UsageDayEntity = defineEntity({
  name: 'UsageDay',
  tableName: 'usage_days',
  properties: {
    org: p.text().primary(),
    day: p.date().primary(),
    messages: p.bigint('number'),
    /** Of envelopes. */
    bytes: p.bigint('number'),
    /** `messages` as last published. */
    told: p.bigint('number'),
  },
});

export const entities = [MessageEntity, SettlementEntity, DeadLetterEntity, UsageDayEntity, SecretEntity];
