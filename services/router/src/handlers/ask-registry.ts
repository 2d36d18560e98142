/** One question to registry about one name of one org, with the router's own identity. */

import { projectOf } from '@fleetwire/contract';
import { Route } from '@fleetwire/gen/message';
import type { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { FleetwireError, foldName } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import type { RouteEntry } from '../domain/routing-table.ts';
import { routeEntry } from '../domain/routing-table.ts';

/** Which node it comes from is not said here, and not asked. */
const SOME_NODE = '_';

/** Undefined: registry knows no such agent either. Rejects when it cannot be asked. */
export function askRegistry(
  registry: Pick<RpcClient<RegistryServiceDefinition>, 'lookupAgent'>,
  deadlineMs: number,
): (org: string, folded: string) => Promise<RouteEntry | undefined> {
  return async (org, folded) => {
    try {
      const { agent } = await registry.lookupAgent({ name: folded, org }, { deadlineMs });
      if (agent === undefined || foldName(agent.name) !== folded) return undefined;
      const { id, name, node, nodeName, epoch, profile } = agent;
      const route = Route.fromPartial({
        agent: id,
        name,
        node,
        nodeName,
        epoch,
        capabilities: profile?.capabilities ?? [],
        suspended: agent.status === 'suspended',
        movingFrom: agent.moving ? SOME_NODE : '',
        project: projectOf(profile?.repo ?? ''),
      });
      return routeEntry(org, route);
    } catch (error) {
      if (error instanceof FleetwireError && error.kind === 'not_found') return undefined;
      throw error;
    }
  };
}
