/** Which of some nodes an agent lives on. */

import { FleetwireError, foldName, nearestNames } from '@fleetwire/kernel';
import type { NodeClient } from './local-nodes.ts';

const LOOK_MS = 3000;

/** Rejects not_found AGENT_NOT_LOCAL, or the fault of a node that could not say. */
export async function hostOf(agent: string, nodes: readonly NodeClient[]): Promise<NodeClient> {
  const names: string[] = [];
  let fault: unknown;
  for (const node of nodes) {
    const { agents } = await node.listLocalAgents({}, { deadlineMs: LOOK_MS }).catch((error: unknown) => {
      fault ??= error;
      return { agents: [] };
    });
    if (agents.some((a) => foldName(a.name) === foldName(agent))) return node;
    names.push(...agents.map((a) => a.name));
  }
  // It may live on the one that could not say.
  if (fault !== undefined) throw fault;
  const near = nearestNames(agent, names);
  throw new FleetwireError(
    'not_found',
    'AGENT_NOT_LOCAL',
    `no node of this org that runs on this machine hosts an agent "${agent}"`,
    {
      help:
        near.length > 0
          ? `Did you mean ${near.join(' or ')}?`
          : 'One can act for agents of this machine only; see: fleetwire agent list',
      details: { suggestions: near.join(',') },
    },
  );
}
