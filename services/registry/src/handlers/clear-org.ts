/** Removes what an org under deletion has here: its agents, the inboxes of its nodes, its nodes, channels, routes. */

import type { Broker } from '@fleetwire/broker';
import { nodeConsumer } from '@fleetwire/contract';
import { type Clock, nowMs } from '@fleetwire/kernel';
import { type RemovalParts, removeGone } from '../routing/remove-gone.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows } from '../store/agents.ts';
import type { ChannelRows } from '../store/channels.ts';
import type { OrgRows } from '../store/orgs.ts';
import type { SubscriptionRows } from '../store/subscriptions.ts';
import { consumerOf } from './subscriptions/shown-subscription.ts';

export interface ClearParts extends RemovalParts {
  readonly orgs: OrgRows;
  readonly agents: Pick<AgentRows, 'byIds' | 'remove'>;
  readonly channels: Pick<ChannelRows, 'removeBefore' | 'presentIds'>;
  readonly subscriptions: Pick<SubscriptionRows, 'removeBefore'>;
  readonly routes: Pick<RouteTable, 'keysOf' | 'removeKey'>;
  /** Shuts the nodes of the org out of the broker: all credentials given to them until now. Can be repeated. */
  readonly revoke: (org: string) => Promise<unknown>;
  readonly consumers: Pick<Broker['consumers'], 'remove'>;
  readonly clock: Clock;
  /** Rows that one statement removes. */
  readonly batch: { readonly agents: number; readonly nodes: number };
}

export const CLEAR_BATCH = { agents: 500, nodes: 50 } as const;

/**
 * Each step can be repeated, so a run that was cut short at any point is completed by the next. Only what joined before
 * the deletion goes: what a restored org has made anew stays. False: `mayGoOn` said no, and something may be left.
 */
export async function clearOrg(
  parts: ClearParts,
  org: string,
  deletion: number,
  mayGoOn: () => boolean,
): Promise<boolean> {
  const { orgs, agents, consumers, routes, clock, batch } = parts;
  if (!mayGoOn()) return false;
  // First, so that nobody joins behind our back who began before the deletion.
  await orgs.close(org, deletion);
  if (!mayGoOn()) return false;
  // While there are rows to come back for; in each run, since somebody may have overwritten it meanwhile.
  await parts.revoke(org);
  for (;;) {
    if (!mayGoOn()) return false;
    const ids = await orgs.agentsBefore(org, deletion, batch.agents);
    if (ids.length > 0) await agents.remove({ ids, nowMs: nowMs(clock) });
    if (ids.length === batch.agents) continue;
    const nodes = await orgs.nodesBefore(org, deletion, batch.nodes);
    if (nodes.length === 0) break;
    await Promise.all(
      nodes.map(({ id, shard }) => {
        const { stream, durable_name } = nodeConsumer(shard, org, id);
        return consumers.remove(stream, durable_name);
      }),
    );
    await orgs.removeNodes(nodes.map(({ id }) => id));
  }
  do {
    if (!mayGoOn()) return false;
  } while ((await parts.channels.removeBefore(org, deletion, batch.agents)) === batch.agents);
  if (!mayGoOn()) return false;
  for (const each of await parts.subscriptions.removeBefore(org, deletion)) {
    const { stream, consumer } = consumerOf(each);
    await consumers.remove(stream, consumer);
  }
  if (!mayGoOn()) return false;
  await removeGone(parts, await routes.keysOf(org));
  return mayGoOn();
}
