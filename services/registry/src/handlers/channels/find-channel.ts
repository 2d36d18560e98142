/** Which channel a caller means, and what it may do with it. */

import type { Channel } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { foldName, isId, isName } from '@fleetwire/kernel';
import { type Acting, requireActing, requirePerson } from '../../domain/agent-callers.ts';
import { channelUnknown, kindUnknown } from '../../domain/agent-errors.ts';
import type { ChannelRows, CountedChannel } from '../../store/channels.ts';

type ChannelParts = { readonly channels: ChannelRows };

const KINDS: Readonly<Record<string, string>> = { '#': 'channel', '%': 'group' };

/** channel (also when empty) or group; throws UNKNOWN_KIND. */
export function readKind(kind: string): 'channel' | 'group' {
  if (kind === '' || kind === 'channel') return 'channel';
  if (kind === 'group') return 'group';
  throw kindUnknown();
}

/** By id, or by name with # or %; throws UNKNOWN_CHANNEL, the same for what is another org's. */
export async function findChannel(
  { channels }: ChannelParts,
  org: string,
  text: string,
): Promise<CountedChannel> {
  const kind = KINDS[text[0] ?? ''];
  const name = text.slice(1);
  const found = isId('channel', text)
    ? await channels.byId(org, text)
    : kind !== undefined && isName(name)
      ? await channels.byName(org, kind, foldName(name))
      : undefined;
  if (found === undefined) throw channelUnknown(text);
  return found;
}

/** Channels by scope send or admin, groups by admin. A node may change channels, as far as its own agents go. */
export function requireManager(caller: Caller, kind: string): Acting {
  if (kind === 'group') return { ...requirePerson(caller, ['admin']), node: undefined };
  return requireActing(caller, ['send', 'admin']);
}

export function shownChannel(channel: CountedChannel): Channel {
  const { id, name, kind, members, createdAtMs, createdBy, epoch } = channel;
  return { id, name, kind, members, createdAtMs, createdBy, epoch };
}
