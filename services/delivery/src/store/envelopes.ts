/** Envelopes of messages by their ids, some at a time: what is asked of them is less than the bodies that they come with. */

import { Envelope } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { textArray } from './array-literal.ts';

export interface KeptEnvelope {
  readonly id: string;
  readonly ingressAtUs: number;
  /** Without its body. */
  readonly envelope: Envelope;
}

/** Bodies of a mebibyte that are in memory together. */
export const BODIES_AT_ONCE = 16;
const NO_BODY = new Uint8Array(0);

const READ = `
  select id, ingress_at_us as "ingressAtUs", envelope as bytes from messages where org = $1 and id = any ($2)`;

/** Of those that are kept. `ids`: without NUL. */
export async function readEnvelopes(
  store: Pick<Store, 'query'>,
  org: string,
  ids: readonly string[],
): Promise<KeptEnvelope[]> {
  const read: KeptEnvelope[] = [];
  for (const some of slices(ids, BODIES_AT_ONCE)) {
    const params = [org, textArray(some, (id) => id)];
    const rows = await store.query<Omit<KeptEnvelope, 'envelope'> & { bytes: Uint8Array }>(READ, params);
    for (const { bytes, ...kept } of rows)
      read.push({ ...kept, envelope: { ...Envelope.decode(bytes), body: NO_BODY } });
  }
  return read;
}
