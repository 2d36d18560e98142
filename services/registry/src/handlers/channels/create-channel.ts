/** CreateChannel and DeleteChannel. */

import { type EventName, routeKey } from '@fleetwire/contract';
import type {
  CreateChannelRequest,
  CreateChannelResponse,
  DeleteChannelRequest,
  DeleteChannelResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { checkName, FleetwireError, foldName, isId, newId, nowMs } from '@fleetwire/kernel';
import { requirePerson } from '../../domain/agent-callers.ts';
import { channelsFull, channelsOfNodeFull } from '../../domain/agent-errors.ts';
import { orgClosed, requireOpen } from '../../domain/orgs.ts';
import type { CountedChannel } from '../../store/channels.ts';
import type { RegistryParts } from '../parts.ts';
import { findChannel, readKind, requireManager, shownChannel } from './find-channel.ts';

/** Idempotent: what is there already is answered as it is. Throws CHANNEL_LIMIT. */
export async function createChannel(
  parts: RegistryParts,
  request: CreateChannelRequest,
  caller: Caller,
): Promise<CreateChannelResponse> {
  const kind = readKind(request.kind);
  const { org, actor, node } = requireManager(caller, kind);
  const access = requireOpen(parts.orgs, org);
  const { name } = request;
  checkName(name, kind);
  const { channels, config, routes } = parts;
  const folded = foldName(name);
  const id = newId('channel', parts.random);
  const createdAtMs = nowMs(parts.clock);
  const deletion = access?.state.deletion ?? 0;
  const outcome = await channels.create(
    { id, org, kind, name, folded, createdBy: actor, createdAtMs, deletion },
    config.channels_max,
    // So that one node that goes wild does not use up what the org may have.
    node === undefined ? undefined : config.channels_per_node_max,
  );
  if (outcome === 'creator_full') throw channelsOfNodeFull(config.channels_per_node_max);
  if (outcome === 'full') throw channelsFull(config.channels_max);
  if (outcome === 'org_cleared') throw orgClosed(org);
  const channel = await channels.byName(org, kind, folded);
  if (channel === undefined)
    throw new FleetwireError('aborted', 'NAME_IN_MOTION', `"${name}" is being made and deleted`, {
      retryAfterMs: 100,
    });
  await routes.ensureChannels([channel.id]);
  if (channel.id === id) tellOfChannel(parts, 'channel_created', channel, actor);
  return { channel: shownChannel(channel) };
}

/** Idempotent by id. */
export async function deleteChannel(
  parts: RegistryParts,
  request: DeleteChannelRequest,
  caller: Caller,
): Promise<DeleteChannelResponse> {
  const { org, actor } = requirePerson(caller, ['send', 'admin']);
  const channel = await findChannel(parts, org, request.channel).catch((error: unknown) => {
    if (!isId('channel', request.channel)) throw error;
    return undefined;
  });
  if (channel === undefined) {
    await parts.routes.removeKey(routeKey(org, request.channel));
    return {};
  }
  requireManager(caller, channel.kind);
  const gone = await parts.channels.remove(org, channel.id);
  await parts.routes.remove(org, channel.id);
  if (gone) tellOfChannel(parts, 'channel_deleted', channel, actor);
  return {};
}

function tellOfChannel(
  parts: RegistryParts,
  name: EventName<'registry'>,
  channel: CountedChannel,
  actor: string,
): void {
  const { id: target, org, kind } = channel;
  parts.announcer.tell({ org, name, target, actor, details: { name: channel.name, kind } });
}
