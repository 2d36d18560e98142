/** channels: those that there are, and joining or leaving one. Writing to one is send to its name. */

import { z } from '@fleetwire/config';
import { FleetwireError } from '@fleetwire/kernel';
import { channelName } from '../../fleet.ts';
import { orgOf } from '../directory.ts';
import { MCP_LIMITS } from '../limits.ts';
import { counted, type Told, type ToolParts, tool } from '../tool.ts';

const input = z.object({
  action: z.enum(['list', 'join', 'leave']).describe('list all channels; join or leave one'),
  channel: z.string().min(1).max(64).optional().describe('its name, such as #release; for join and leave'),
});

export const channels = tool({
  name: 'channels',
  title: 'Use channels',
  description:
    'Lists channels, joins one or leaves it. What is sent to #name reaches all its members but the sender; members get it ' +
    'in their inbox. Write to a channel with send.',
  input,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  run: async (parts, { action, channel }) => {
    if (action === 'list') return list(parts);
    if (channel === undefined)
      throw new FleetwireError(
        'invalid_argument',
        'CHANNEL_MISSING',
        `${action} needs the name of a channel`,
        {
          help: 'Give it as channel, such as #release.',
        },
      );
    const { id } = await parts.door.self();
    const { name, members } = await parts.people.membership(action, channelName('channel', channel), id);
    return {
      document: { channel: `#${name}`, joined: action === 'join', members },
      text: `${action === 'join' ? 'joined' : 'left'} #${name}: ${counted(members, 'member')}`,
    };
  },
});

async function list({ door }: ToolParts): Promise<Told> {
  const { id } = await door.self();
  const all = (await orgOf(door)).channels.filter(({ group }) => !group);
  const shown = all.slice(0, MCP_LIMITS.rowsMax).map(({ name, members }) => {
    return { channel: `#${name}`, members: members.length, joined: members.includes(id) };
  });
  const lines = shown.map(
    ({ channel, members, joined }) =>
      `${channel}: ${counted(members, 'member')}${joined ? ' (you too)' : ''}`,
  );
  return {
    document: { channels: shown, left_out: all.length - shown.length },
    text: lines.length === 0 ? 'no channels' : lines.join('\n'),
  };
}
