/** The org as the agent's node knows it, all pages of it; also while the hub is away. */

import type { ChannelRoute, NodeRoute, Route } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import type { AgentDoor } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';

export interface Org {
  readonly agents: readonly Route[];
  readonly nodes: readonly NodeRoute[];
  readonly channels: readonly ChannelRoute[];
}

/** Rejects unavailable DIRECTORY_EMPTY: the node has not heard of the hub for too long. */
export async function orgOf(door: AgentDoor): Promise<Org> {
  const org = { agents: [] as Route[], nodes: [] as NodeRoute[], channels: [] as ChannelRoute[] };
  let pageToken = '';
  do {
    const page = await door.call((node) => node.directory({ pageToken }, { deadlineMs: MCP_LIMITS.callMs }));
    if (page.asOfMs === 0)
      throw new FleetwireError('unavailable', 'DIRECTORY_EMPTY', 'the node does not know who is in the org', {
        help: 'It learns that from its hub, which is away; mail to agents that you know by name is accepted all the same.',
        retryAfterMs: 5000,
      });
    org.agents.push(...page.agents);
    org.nodes.push(...page.nodes);
    org.channels.push(...page.channels);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return org;
}
