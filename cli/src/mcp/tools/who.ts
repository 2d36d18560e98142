/** who: the agents that can be written to, by name or by what they can do. */

import { z } from '@fleetwire/config';
import { foldName } from '@fleetwire/kernel';
import { orgOf } from '../directory.ts';
import { MCP_LIMITS } from '../limits.ts';
import { tool } from '../tool.ts';

const input = z.object({
  name: z.string().min(1).max(64).optional().describe('only agents whose name contains this'),
  capability: z.string().min(1).max(64).optional().describe('only agents that can do this, such as review'),
});

export const who = tool({
  name: 'who',
  title: 'See who is there',
  description:
    'Lists the agents of your org: name, machine, whether they are online, what they can do. Mail to one that is offline ' +
    'waits for some minutes.',
  input,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  run: async ({ door }, { name, capability }) => {
    const { agents, nodes } = await orgOf(door);
    const { id: own } = await door.self();
    const online = new Set(nodes.filter((node) => node.online).map(({ node }) => node));
    const found = agents
      .filter((route) => name === undefined || foldName(route.name).includes(foldName(name)))
      .filter((route) => capability === undefined || route.capabilities.includes(foldName(capability)))
      .map((route) => ({
        name: route.name,
        node: route.nodeName,
        online: online.has(route.node) && !route.suspended,
        capabilities: route.capabilities,
        ...(route.agent === own ? { you: true } : {}),
      }))
      .sort((a, b) => Number(b.online) - Number(a.online) || (a.name < b.name ? -1 : 1));
    const shown = found.slice(0, MCP_LIMITS.rowsMax);
    const left = found.length - shown.length;
    return {
      document: { agents: shown, left_out: left },
      text: [
        ...(shown.length === 0 ? ['nobody'] : shown.map(line)),
        ...(left === 0 ? [] : [`and ${left} more: narrow it down by name or capability`]),
      ].join('\n'),
    };
  },
});

interface Shown {
  readonly name: string;
  readonly node: string;
  readonly online: boolean;
  readonly capabilities: readonly string[];
  readonly you?: boolean;
}

function line({ name, node, online, capabilities, you }: Shown): string {
  const able = capabilities.length === 0 ? '' : `: ${capabilities.join(', ')}`;
  return `${name}@${node}${online ? '' : ' (offline)'}${you === true ? ' (you)' : ''}${able}`;
}
