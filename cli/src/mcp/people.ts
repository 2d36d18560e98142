/** What needs the access of a person: history, and membership in channels. Machines may have none. */

import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import type { CommandContext } from '../command-context.ts';
import { channelAddress } from '../fleet.ts';

export interface People {
  /** Rejects CONTEXT_MISSING, MESSAGE_UNKNOWN. Undefined: whoever calls is not this person. */
  readonly trace: ((id: string) => Promise<TraceMessageResponse>) | undefined;
  /** Lets the agent, by its id, into a channel or out of it; gives how many members it has. */
  membership(
    how: 'join' | 'leave',
    channel: string,
    agent: string,
  ): Promise<{ name: string; members: number }>;
}

/** `theirs`: the agent works for the person of the context, who may look at everything anyway. */
export function peopleOf(context: CommandContext, theirs: boolean): People {
  return {
    trace: theirs
      ? async (id) => renewing(context, async () => (await context.hub()).delivery.traceMessage({ id }))
      : undefined,
    membership: async (how, given, agent) => {
      const request = { channel: channelAddress('channel', given), agents: [agent] };
      const { channel } = await renewing(context, async () => {
        const { registry } = await context.hub();
        return how === 'join' ? registry.joinChannel(request) : registry.leaveChannel(request);
      });
      return { name: channel!.name, members: channel!.members };
    },
  };
}

/** A token is made for one command; this one lasts for longer than that. */
async function renewing<T>(context: CommandContext, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { kind } = error as { kind?: string };
    if (kind !== 'unauthenticated' && kind !== 'unavailable') throw error;
    context.renewHub();
    return call();
  }
}
