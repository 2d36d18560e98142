/** The one door to NATS: connection, publishing, pulling, streams, consumers, buckets, leases, the broker's clock. */
export type { Broker, BrokerLimits } from './broker.ts';
export type { Bucket } from './bucket.ts';
export type { BucketEntry } from './bucket-entry.ts';
export type { BucketWatch, WatchEntry, WatchOptions, WatchStatus } from './bucket-watch.ts';
export type { BrokerClock } from './clock.ts';
export type { BrokerCredentials, BrokerOptions } from './connect.ts';
export { connectBroker } from './connect.ts';
export type { ConsumerState, Consumers } from './consumers.ts';
export type { CoreMessage, Subscription } from './core-message.ts';
export { type DedupeIds, dedupeIds } from './dedupe-ids.ts';
export type { Lease, LeaseClaims, LeaseOptions } from './leases.ts';
export { claimLease } from './leases.ts';
export type { Stored, StoreOptions } from './publisher.ts';
export type { PulledBatch, PullOptions, PullSession } from './pull-session.ts';
export type { PulledMessage } from './pulled-message.ts';
export type { StoredMessage, StoredMessages } from './stored-messages.ts';
export type { StreamState, Streams } from './streams.ts';
