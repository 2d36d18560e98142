/** Mail that has to follow an agent, or to go back to its senders: one row for each move, until it is done. */

import type { StoreTransaction } from '@fleetwire/store';

/** Why an agent's mail goes back: it was removed, its node was silent for too long, or its node was removed. */
export type ReturnReason = 'agent_removed' | 'agent_swept' | 'node_removed';

export interface Leaving {
  readonly id: string;
  readonly org: string;
  readonly node: string;
  readonly shard: number;
}

/**
 * In the transaction that removes `agents`: what waits for them in the broker is returned to its senders later, by
 * whichever replica is at it.
 */
export async function noteReturn(
  query: StoreTransaction['query'],
  agents: readonly Leaving[],
  reason: ReturnReason,
  nowMs: number,
): Promise<void> {
  if (agents.length === 0) return;
  await query(
    `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason, state, started_at_ms, changed_at_ms)
     select u.agent, nextval('route_epochs'), u.org, u.node, u.shard, '', 0, $5, 'routers', $6, $6
     from unnest($1::text[], $2::text[], $3::text[], $4::int[]) as u (agent, org, node, shard)`,
    [
      agents.map(({ id }) => id),
      agents.map(({ org }) => org),
      agents.map(({ node }) => node),
      agents.map(({ shard }) => shard),
      reason,
      nowMs,
    ],
  );
}
