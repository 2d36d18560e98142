/**
 * Of orgs that keep no history: which node has sent a message, and when. No address, no agent, nothing of its content. By it
 * receipts are judged, a repeat is known, and what is past its time is ended, as of all orgs. No question about history
 * reads it.
 */

import type { CopyColumn, Store } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import type { Sent } from '../domain/verdict.ts';
import { textArray } from './array-literal.ts';
import { readEnvelopes } from './envelopes.ts';

export interface Origin {
  readonly fromNode: string;
  /** That node delivers it to its own agents itself. */
  readonly local: boolean;
  /** Somebody's receipt has to come: it is not for whoever may be there. */
  readonly awaited: boolean;
  readonly ttlMs: number;
}

export interface OriginRow {
  readonly org: string;
  readonly id: string;
  readonly acceptedAtUs: number;
  readonly ingressAtUs: number;
  readonly deadlineUs: number;
  readonly origin: Origin;
}

/** In the order of ORIGINS_CAREFUL's parameters. */
export const ORIGIN_COLUMNS: readonly CopyColumn<OriginRow>[] = [
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'id', type: 'text', value: (row) => row.id },
  { name: 'from_node', type: 'text', value: (row) => columnText(row.origin.fromNode) },
  { name: 'local', type: 'bool', value: (row) => row.origin.local },
  { name: 'awaited', type: 'bool', value: (row) => row.origin.awaited },
  { name: 'accepted_at_us', type: 'int8', value: (row) => row.acceptedAtUs },
  { name: 'ingress_at_us', type: 'int8', value: (row) => row.ingressAtUs },
  { name: 'ttl_ms', type: 'int8', value: (row) => row.origin.ttlMs },
  { name: 'deadline_us', type: 'int8', value: (row) => row.deadlineUs },
];

export const ORIGINS_CAREFUL = `
  insert into origins (org, id, from_node, local, awaited, accepted_at_us, ingress_at_us, ttl_ms, deadline_us)
  select r.org, r.id, r.node, r.local <> 0, r.awaited <> 0, r.accepted, r.ingress, r.ttl, r.deadline
  from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[]) as r (org, id, node, local, awaited, accepted, ingress, ttl, deadline)
  on conflict do nothing
  returning org, id`;

export interface SentMessage extends Sent {
  readonly id: string;
}

/** Who sent messages, whatever is kept of them; of those that are not known, nothing. */
export async function findSenders(
  store: Pick<Store, 'query'>,
  org: string,
  ids: readonly string[],
): Promise<SentMessage[]> {
  const texts = ids.map(columnText);
  const bare = await store.query<SentMessage>(
    `select id, from_node as node, local, ingress_at_us as "ingressAtUs" from origins where org = $1 and id = any ($2)`,
    [org, textArray(texts, (id) => id)],
  );
  const kept = await readEnvelopes(store, org, texts);
  const known = kept.map(({ id, ingressAtUs, envelope: { fromNode: node, local, localServed } }) => ({
    id,
    node,
    local: local || localServed,
    ingressAtUs,
  }));
  return [...bare, ...known];
}

/** It is late by then, and no sooner: whoever looks for messages without an end meets it again. */
export async function putOffDeadline(
  store: Pick<Store, 'query'>,
  org: string,
  id: string,
  deadlineUs: number,
): Promise<void> {
  await store.query(
    `with bare as (update origins set deadline_us = greatest(deadline_us, $3) where org = $1 and id = $2)
     update messages set deadline_us = greatest(deadline_us, $3) where org = $1 and id = $2`,
    [org, id, deadlineUs],
  );
}
