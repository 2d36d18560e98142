/** The tables as entities: they document the columns, and a test holds them and the migrations together. */

import { defineEntity, p, SecretEntity } from '@fleetwire/store';

/** Keys are compared by their bytes. */
const key = () => p.text().collation('C');

/**
 * One accepted message; what is searched for is a column, the rest is in the envelope as it came. In partitions by id, as
 * `settlements` and `message_words` are: `store/partitions.ts`.
 */
export const MessageEntity = defineEntity({
  name: 'Message',
  tableName: 'messages',
  indexes: [
    { name: 'messages_by_sender', properties: ['org', 'fromAgent', 'id'] },
    {
      name: 'messages_by_correlation',
      properties: ['org', 'correlationId', 'id'],
      where: 'correlation_id <> id',
    },
    { name: 'messages_by_deadline', properties: ['deadlineUs'] },
  ],
  properties: {
    org: key().primary(),
    id: key().primary(),
    acceptedAtUs: p.bigint('number').fieldName('accepted_at_us'),
    ingressAtUs: p.bigint('number').fieldName('ingress_at_us'),
    fromAgent: key().fieldName('from_agent'),
    toAddress: p.text().fieldName('to_address'),
    correlationId: key().fieldName('correlation_id'),
    /** Without the body where the org keeps metadata only. */
    envelope: p.blob(),
    /** After which it is no longer delivered, broker time; 0: written by a version that did not say. */
    deadlineUs: p.bigint('number').fieldName('deadline_us').default(0),
    /** Of the body that the envelope lacks; -1: it lacks nothing. */
    leftOutBytes: p.bigint('number').fieldName('left_out_bytes').default(-1),
  },
});

/** Of an org that keeps no history: all that is known of a message but its settlements. */
export const OriginEntity = defineEntity({
  name: 'Origin',
  tableName: 'origins',
  indexes: [{ name: 'origins_by_deadline', properties: ['deadlineUs'] }],
  properties: {
    org: key().primary(),
    id: key().primary(),
    fromNode: p.text().fieldName('from_node'),
    /** That node delivers it to its own agents itself. */
    local: p.boolean(),
    /** Somebody's receipt has to come. */
    awaited: p.boolean(),
    acceptedAtUs: p.bigint('number').fieldName('accepted_at_us'),
    ingressAtUs: p.bigint('number').fieldName('ingress_at_us'),
    ttlMs: p.bigint('number').fieldName('ttl_ms'),
    deadlineUs: p.bigint('number').fieldName('deadline_us'),
  },
});

/** What became of a message for one recipient; `receipt` is all its receipts merged into one. */
export const SettlementEntity = defineEntity({
  name: 'Settlement',
  tableName: 'settlements',
  indexes: [
    { name: 'settlements_by_recipient', properties: ['org', 'recipient', 'messageId'] },
    { name: 'settlements_by_fault', properties: ['org', 'stage', 'messageId'], where: 'stage > 5' },
  ],
  properties: {
    org: key().primary(),
    messageId: key().primary().fieldName('message_id'),
    recipient: key().primary(),
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

/** What a message is found by; written some time after the message. */
export const MessageWordsEntity = defineEntity({
  name: 'MessageWords',
  tableName: 'message_words',
  indexes: [{ name: 'message_words_by_word', properties: ['words'], type: 'gin' }],
  properties: {
    org: key().primary(),
    id: key().primary(),
    words: p.string().columnType('tsvector'),
  },
});

/** Messages whose words are not written yet, some hundred of them in a row. */
export const WordsQueueEntity = defineEntity({
  name: 'WordsQueue',
  tableName: 'words_queue',
  properties: {
    seq: p.bigint('number').primary().autoincrement(),
    /** The first and the last moment at which the broker accepted one of them. */
    fromUs: p.bigint('number').fieldName('from_us'),
    untilUs: p.bigint('number').fieldName('until_us'),
    messages: p.integer(),
    /** Lines of an org and its ids, parted by blanks. */
    ids: p.text(),
  },
});

/** A dead letter as it was published, for people to look at. */
export const DeadLetterEntity = defineEntity({
  name: 'DeadLetter',
  tableName: 'dead_letters',
  indexes: [
    { name: 'dead_letters_by_message', properties: ['org', 'messageId'] },
    { name: 'dead_letters_by_time', properties: ['org', 'storedAtUs', 'sequence'] },
  ],
  properties: {
    storedAtUs: p.bigint('number').primary().fieldName('stored_at_us'),
    sequence: p.bigint('number').primary(),
    org: p.text(),
    agent: p.text(),
    messageId: p.text().fieldName('message_id'),
    reason: p.text(),
    letter: p.blob(),
    detail: p.text().default(''),
    attempt: p.bigint('number').default(0),
    author: p.text().default('_unknown'),
    fromAgent: p.text().fieldName('from_agent').default(''),
    fromName: p.text().fieldName('from_name').default(''),
    toAddress: p.text().fieldName('to_address').default(''),
    bodyKept: p.boolean().fieldName('body_kept').default(true),
    /** A LetterState. */
    state: p.smallint().default(1),
    decidedBy: p.text().fieldName('decided_by').default(''),
    decidedAtUs: p.bigint('number').fieldName('decided_at_us').default(0),
    /** Of the request that decided. */
    requestId: p.text().fieldName('request_id').default(''),
  },
});

/** One attempt to send a dead letter again, recorded before it is made. */
export const ReplayEntity = defineEntity({
  name: 'Replay',
  tableName: 'replays',
  indexes: [
    { name: 'replays_unpublished', properties: ['decidedAtUs'], where: 'not published' },
    { name: 'replays_by_request', properties: ['requestId', 'storedAtUs', 'sequence'] },
  ],
  properties: {
    org: p.text().primary(),
    messageId: p.text().primary().fieldName('message_id'),
    recipient: p.text().primary(),
    attempt: p.bigint('number').primary(),
    /** Of the letter. */
    storedAtUs: p.bigint('number').fieldName('stored_at_us'),
    sequence: p.bigint('number'),
    requestId: p.text().fieldName('request_id'),
    decidedBy: p.text().fieldName('decided_by'),
    decidedAtUs: p.bigint('number').fieldName('decided_at_us'),
    published: p.boolean(),
  },
});

/** One request to replay or drop dead letters, in as many calls as it takes. */
export const LetterRequestEntity = defineEntity({
  name: 'LetterRequest',
  tableName: 'letter_requests',
  indexes: [{ name: 'letter_requests_untold', properties: ['doneAtUs'], where: 'told < done' }],
  properties: {
    org: p.text().primary(),
    requestId: p.text().primary().fieldName('request_id'),
    action: p.text(),
    decidedBy: p.text().fieldName('decided_by'),
    selection: p.text(),
    begunAtUs: p.bigint('number').fieldName('begun_at_us'),
    done: p.bigint('number').default(0),
    /** `done` as the audit was last told. */
    told: p.bigint('number').default(0),
    doneAtUs: p.bigint('number').fieldName('done_at_us').default(0),
  },
});

/** What an org used on one UTC day of the broker's; whoever inserts into `messages` adds to it. */
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

/** A receipt of which it is not known yet whether its publisher may say so. */
export const DoubtEntity = defineEntity({
  name: 'Doubt',
  tableName: 'doubts',
  indexes: [{ name: 'doubts_by_publisher', properties: ['org', 'publisher', 'lookAt'] }],
  properties: {
    storedAtUs: p.bigint('number').primary().fieldName('stored_at_us'),
    sequence: p.bigint('number').primary(),
    part: p.integer().primary(),
    stream: p.text().primary(),
    org: p.text(),
    messageId: p.text().fieldName('message_id'),
    recipient: p.text(),
    publisher: p.text(),
    toNode: p.text().fieldName('to_node'),
    receipt: p.blob(),
    lookAt: p.datetime().columnType('timestamptz').defaultRaw('now()').fieldName('look_at'),
    looks: p.integer().default(0),
    ingressSequence: p.bigint('number').nullable().fieldName('ingress_sequence'),
    /** Of which stream that is a sequence: when it was made. */
    ingressMade: p.text().fieldName('ingress_made').default(''),
  },
});

/** How far messages beyond their time were looked at: by sweep. */
export const SweepPlaceEntity = defineEntity({
  name: 'SweepPlace',
  tableName: 'sweep_places',
  properties: {
    name: p.text().primary(),
    deadlineUs: p.bigint('number').fieldName('deadline_us'),
    id: p.text(),
    org: p.text(),
  },
});

export const entities = [
  MessageEntity,
  OriginEntity,
  SettlementEntity,
  MessageWordsEntity,
  WordsQueueEntity,
  DeadLetterEntity,
  ReplayEntity,
  LetterRequestEntity,
  UsageDayEntity,
  DoubtEntity,
  SweepPlaceEntity,
  SecretEntity,
];
