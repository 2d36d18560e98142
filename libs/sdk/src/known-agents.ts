/** The agents of the org, as the node's directory has them. */

import type { Route } from '@fleetwire/gen/message';
import type { NodeServiceDefinition } from '@fleetwire/gen/node';
import type { RpcClient } from '@fleetwire/rpc';

export interface KnownAgent {
  readonly id: string;
  readonly name: string;
  /** Name of its node, for addresses like `alice@laptop`. */
  readonly node: string;
  readonly capabilities: readonly string[];
  /** Its node was there when the hub last told, and its workspace is not suspended. */
  readonly online: boolean;
}

const DEADLINE_MS = 10_000;

/** In the order of their ids. Rejects as the calls do. */
export async function knownAgents(
  client: Pick<RpcClient<NodeServiceDefinition>, 'directory'>,
  capability: string | undefined,
): Promise<KnownAgent[]> {
  const wanted = capability?.toLowerCase();
  const routes: Route[] = [];
  const online = new Set<string>();
  let pageToken = '';
  do {
    const page = await client.directory({ pageToken }, { deadlineMs: DEADLINE_MS });
    for (const route of page.agents)
      if (wanted === undefined || route.capabilities.includes(wanted)) routes.push(route);
    for (const node of page.nodes) if (node.online) online.add(node.node);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return routes.map(({ agent, name, node, nodeName, capabilities, suspended }) => {
    return { id: agent, name, node: nodeName, capabilities, online: online.has(node) && !suspended };
  });
}
