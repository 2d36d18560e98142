/** Subjects of the JetStream API, of acknowledgements, buckets and the system account, as permissions name them. */

import type { BucketSpec, ConsumerSpec, StreamName } from '@fleetwire/contract';
import { nodeConsumer, SUBSCRIBED } from '@fleetwire/contract';

const NEXT = '$JS.API.CONSUMER.MSG.NEXT.INBOX';
const ACK = '$JS.ACK.INBOX';

/** What an org's account imports; which consumer of it a node may use is in the node's own permissions. */
export const inboxPulls = `${NEXT}.*`;
export const inboxAcks = `${ACK}.>`;

export const pullOfNode = (shard: number, org: string, node: string): string =>
  `${NEXT}.${nodeConsumer(shard, org, node).durable_name}`;

export const acksOfNode = (shard: number, org: string, node: string): string =>
  `${ACK}.${nodeConsumer(shard, org, node).durable_name}.>`;

const FOLLOWED: readonly StreamName[] = Object.values(SUBSCRIBED);

/** The same for subscribers, of which each has rights for one consumer. */
export const subscriberPulls = FOLLOWED.map((stream) => `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`);
export const subscriberInfos = FOLLOWED.map((stream) => `$JS.API.CONSUMER.INFO.${stream}.*`);
export const subscriberAcks = FOLLOWED.map((stream) => `$JS.ACK.${stream}.>`);

/**
 * What clients call a JetStream domain: in an account without JetStream the servers answer `$JS.API` themselves, to say that
 * there is none.
 */
export const JETSTREAM_DOMAIN = 'fleetwire';
export const inDomain = (call: string): string => call.replace('$JS.API.', `$JS.${JETSTREAM_DOMAIN}.API.`);

/** All calls, those that make, alter and delete streams included. */
export const ALL_OF_JETSTREAM = '$JS.API.>';

const api = (operation: string): string => `$JS.API.${operation}`;
const streamOf = (bucket: BucketSpec) => `KV_${bucket.name}`;

/** To verify streams, and to see how full they are. */
export const infoOf = (...streams: readonly StreamName[]): string[] =>
  streams.map((stream) => api(`STREAM.INFO.${stream}`));

/** To read single messages. */
export const getsOf = (stream: StreamName): string => api(`STREAM.MSG.GET.${stream}`);

/** To read single messages, and to delete them. */
export const messagesOf = (stream: StreamName): string[] => [
  getsOf(stream),
  api(`STREAM.MSG.DELETE.${stream}`),
];

/** To make, look at and remove consumers; by name and filter only, which the servers hold against the request. */
export const consumersOf = (stream: StreamName): string[] => [
  api(`CONSUMER.CREATE.${stream}.*.>`),
  api(`CONSUMER.INFO.${stream}.*`),
  api(`CONSUMER.DELETE.${stream}.*`),
];

/** To look at every consumer; other rights to look at one say nothing more. */
const CONSUMER_INFOS = api('CONSUMER.INFO.');
export const ALL_CONSUMER_INFOS = `${CONSUMER_INFOS}*.*`;

/** Without what the right to look at every consumer says already: credentials have to be short. */
export function withoutNeedless(patterns: readonly string[]): string[] {
  if (!patterns.includes(ALL_CONSUMER_INFOS)) return [...patterns];
  return patterns.filter((p) => p === ALL_CONSUMER_INFOS || !p.startsWith(CONSUMER_INFOS));
}

/** The same for streams of which consumers can be looked at by everybody who may make any. */
export const subscribersOf = (...streams: readonly StreamName[]): string[] => [
  ...streams.flatMap((stream) => [api(`CONSUMER.CREATE.${stream}.*.>`), api(`CONSUMER.DELETE.${stream}.*`)]),
  ALL_CONSUMER_INFOS,
];

export const consumerNames = (stream: StreamName): string => api(`CONSUMER.NAMES.${stream}`);

/** To pull from consumers that others made, and to acknowledge; `*` for all of a stream. */
export const pullsOf = (...consumers: readonly Pick<ConsumerSpec, 'stream' | 'durable_name'>[]): string[] =>
  consumers.flatMap(({ stream, durable_name: name }) => [
    api(`CONSUMER.INFO.${stream}.${name}`),
    api(`CONSUMER.MSG.NEXT.${stream}.${name}`),
    `$JS.ACK.${stream}.${name}.>`,
  ]);

/** To acknowledge by consumers of this name, on whatever stream. */
export const acksBy = (consumer: string): string => `$JS.ACK.*.${consumer}.>`;

/** All that can be done with one consumer, to be taken out of rights with wildcards. */
export const allOfConsumer = ({ stream, durable_name: name }: ConsumerSpec): string[] => [
  api(`CONSUMER.CREATE.${stream}.${name}.>`),
  api(`CONSUMER.INFO.${stream}.${name}`),
  api(`CONSUMER.DELETE.${stream}.${name}`),
  api(`CONSUMER.MSG.NEXT.${stream}.${name}`),
  `$JS.ACK.${stream}.${name}.>`,
];

/** To make, alter and remove one consumer, in few words: the JWT goes into one line of at most 4 KiB at each connect. */
export const makingOfConsumer = ({ stream, durable_name: name }: ConsumerSpec): string[] => [
  api(`CONSUMER.CREATE.${stream}.${name}.>`),
  api(`CONSUMER.DELETE.${stream}.${name}`),
];

export const readsOf = (bucket: BucketSpec): string[] => [
  api(`STREAM.INFO.${streamOf(bucket)}`),
  api(`STREAM.MSG.GET.${streamOf(bucket)}`),
];

/** To follow a bucket by consumers without a durable name, which the server names. */
export const watchesOf = (bucket: BucketSpec): string[] => [
  api(`STREAM.INFO.${streamOf(bucket)}`),
  api(`CONSUMER.CREATE.${streamOf(bucket)}`),
  ...['INFO', 'MSG.NEXT', 'DELETE'].map((call) => api(`CONSUMER.${call}.${streamOf(bucket)}.*`)),
];

/** `keys` like a subject. */
export const writesOf = (bucket: BucketSpec, keys: string): string => `$KV.${bucket.name}.${keys}`;

/** To take delete markers out of a bucket's stream. */
export const purgesOf = (bucket: BucketSpec): string => api(`STREAM.PURGE.${streamOf(bucket)}`);

/** System account request that gives every server an account's new claims. */
export const CLAIMS_UPDATE = '$SYS.REQ.CLAIMS.UPDATE';
/** System account request for the accounts that a server holds: `{data: [public key]}`. */
export const CLAIMS_LIST = '$SYS.REQ.CLAIMS.LIST';
/** System account request for the claims that the servers hold of an account; of one they do not hold, nobody answers. */
export const claimsLookup = (account: string): string => `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`;
