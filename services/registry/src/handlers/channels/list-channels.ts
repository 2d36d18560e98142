/** ListChannels and ListChannelMembers. */

import type {
  ListChannelMembersRequest,
  ListChannelMembersResponse,
  ListChannelsRequest,
  ListChannelsResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isId } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { requireReader } from '../../domain/callers.ts';
import { shownAgent } from '../find-agents.ts';
import type { RegistryParts } from '../parts.ts';
import { findChannel, readKind, shownChannel } from './find-channel.ts';

const KEY = /^[a-z0-9-]{1,50} (channel|group)$/;

/** In the order of their names; of one name the channel comes before the group. */
export async function listChannels(
  parts: RegistryParts,
  request: ListChannelsRequest,
  caller: Caller,
): Promise<ListChannelsResponse> {
  const org = requireReader(caller);
  const kind = request.kind === '' ? '' : readKind(request.kind);
  const { size, after } = readPage(request, (key) => KEY.test(key));
  const [folded = '', afterKind = ''] = after.split(' ');
  const rows = await parts.channels.list(org, kind, [folded, afterKind], size + 1);
  const { shown, nextPageToken } = cutPage(rows, size, (channel) => `${channel.folded} ${channel.kind}`);
  return { channels: shown.map(shownChannel), nextPageToken };
}

/** In the order of their ids. */
export async function listChannelMembers(
  parts: RegistryParts,
  request: ListChannelMembersRequest,
  caller: Caller,
): Promise<ListChannelMembersResponse> {
  const org = requireReader(caller);
  const { size, after } = readPage(request, (key) => isId('agent', key));
  const channel = await findChannel(parts, org, request.channel);
  const ids = await parts.channels.members(channel.id, after, size + 1);
  const { shown, nextPageToken } = cutPage(ids, size, (id) => id);
  const rows = new Map((await parts.agents.byIds(shown)).map((row) => [row.id, row]));
  const agents = shown.flatMap((id) => {
    const row = rows.get(id);
    return row === undefined ? [] : [shownAgent(parts, row)];
  });
  return { agents, nextPageToken };
}
