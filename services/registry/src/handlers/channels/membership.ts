/** JoinChannel and LeaveChannel. */

import { type EventName, LIMITS } from '@fleetwire/contract';
import type {
  JoinChannelRequest,
  JoinChannelResponse,
  LeaveChannelRequest,
  LeaveChannelResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { foldName, isId, isName } from '@fleetwire/kernel';
import { requireActing } from '../../domain/agent-callers.ts';
import { channelFull, channelUnknown, tooManyAgents } from '../../domain/agent-errors.ts';
import { agentUnknown, notTheOwner } from '../../domain/errors.ts';
import { requireOpen } from '../../domain/orgs.ts';
import type { CountedChannel } from '../../store/channels.ts';
import { nearest } from '../find-agents.ts';
import type { RegistryParts } from '../parts.ts';
import { findChannel, requireManager, shownChannel } from './find-channel.ts';

const AGENTS_MAX = 1000;

interface Change {
  readonly org: string;
  readonly actor: string;
  readonly channel: CountedChannel;
  /** Ids, and the nodes on which they live. */
  readonly agents: ReadonlyMap<string, string>;
}

/** All or none of them. Idempotent. Throws UNKNOWN_CHANNEL, UNKNOWN_AGENT, NOT_THE_OWNER, MEMBER_LIMIT. */
export async function joinChannel(
  parts: RegistryParts,
  request: JoinChannelRequest,
  caller: Caller,
): Promise<JoinChannelResponse> {
  const change = await read(parts, request, caller);
  const { channel, agents } = change;
  const joined = await parts.channels.join(channel.id, [...agents.keys()], LIMITS.channelMembers);
  if (joined === 'full') throw channelFull(LIMITS.channelMembers);
  if (joined === 'gone') throw channelUnknown(request.channel);
  return { channel: shownChannel(await done(parts, change, 'channel_joined', joined)) };
}

/** Idempotent: who is no member is left out. */
export async function leaveChannel(
  parts: RegistryParts,
  request: LeaveChannelRequest,
  caller: Caller,
): Promise<LeaveChannelResponse> {
  const change = await read(parts, request, caller);
  const left = await parts.channels.leave(change.channel.id, [...change.agents.keys()]);
  return { channel: shownChannel(await done(parts, change, 'channel_left', left)) };
}

async function read(parts: RegistryParts, request: JoinChannelRequest, caller: Caller): Promise<Change> {
  if (request.agents.length > AGENTS_MAX) throw tooManyAgents(AGENTS_MAX);
  // Who may do nothing at all does not learn whether it is there.
  const { org } = requireActing(caller, ['send', 'admin']);
  requireOpen(parts.orgs, org);
  const channel = await findChannel(parts, org, request.channel);
  const { actor, node } = requireManager(caller, channel.kind);
  const agents = await memberIds(parts, org, node, request.agents);
  return { org, actor, channel, agents };
}

/** Those that are meant, by ids or names. */
async function memberIds(
  parts: RegistryParts,
  org: string,
  node: string | undefined,
  meant: readonly string[],
): Promise<Change['agents']> {
  const ids = meant.filter((text) => isId('agent', text));
  const names = meant.filter((text) => !isId('agent', text) && isName(text)).map(foldName);
  const rows = await parts.agents.meant(org, ids, names);
  const byText = new Map(rows.flatMap((row) => [[row.id, row] as const, [row.folded, row] as const]));
  const found = new Map<string, string>();
  for (const text of meant) {
    const row = byText.get(isId('agent', text) ? text : foldName(text));
    if (row === undefined) throw agentUnknown(text, await nearest(parts, org, text));
    if (node !== undefined && row.node !== node) throw notTheOwner();
    found.set(row.id, row.node);
  }
  return found;
}

/** The channel as it is now; its route is there. */
async function done(
  parts: RegistryParts,
  { org, actor, channel, agents }: Change,
  name: EventName<'registry'>,
  changed: readonly string[],
): Promise<CountedChannel> {
  await parts.routes.ensureChannels([channel.id]);
  const now = await parts.channels.byId(org, channel.id);
  if (now === undefined) throw channelUnknown(channel.id);
  if (changed.length > 0) {
    const details = { name: now.name, kind: now.kind, agents: changed.join(',') };
    parts.announcer.tell({ org, name, target: now.id, actor, details, id: eventId(name, now, changed) });
    // A node serves its own members itself, so it should not learn of them by and by.
    for (const node of new Set(changed.map((id) => agents.get(id)!))) parts.nudge(org, node, 'channel');
  }
  return now;
}

/** Two changes at once may read the same epoch, but not with the same agent. */
const eventId = (name: string, { id, epoch }: CountedChannel, changed: readonly string[]): string =>
  `${name}-${id}-${epoch}-${changed[0]}`;
