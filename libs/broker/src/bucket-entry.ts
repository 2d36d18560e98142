/** One entry of a bucket, and the message that takes one away (NATS ADR-8). */

export interface BucketEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with every write to the bucket, whatever the key. */
  readonly revision: number;
  /** Broker time, microseconds. */
  readonly storedAtUs: number;
}

export const OPERATION_HEADER = 'KV-Operation';

/** Was the entry taken away by this message? */
export function isRemoval(message: { header(name: string): string }): boolean {
  const operation = message.header(OPERATION_HEADER);
  return operation === 'DEL' || operation === 'PURGE';
}
