/** The way in: attaches a program to its node as an agent. */

import { FleetwireError } from '@fleetwire/kernel';
import { Agent } from './agent.ts';
import { SDK_LIMITS } from './limits.ts';
import { type Profile, profileOf } from './profile.ts';
import { type QueueOptions, queueOf } from './queue.ts';
import { type GivenSettings, settingsOf } from './settings.ts';

export interface ConnectOptions extends GivenSettings {
  /** Deliveries that may be unacknowledged; default 256, at most 4096. */
  readonly window?: number | undefined;
  /** True to follow what becomes of sent messages, by receipts(). */
  readonly receipts?: boolean | undefined;
  /** True to be shown again what an earlier process of this agent took and did not acknowledge. Default false. */
  readonly redeliver?: boolean | undefined;
  /** What the agent says of itself: whole, in place of what it said before. Left out: what is known stays. */
  readonly profile?: Profile | undefined;
  /** True to take the name over from a node that is away or draining, where the registry allows it. Default false. */
  readonly takeOver?: boolean | undefined;
  /** How much may wait for it on its node. Left out: what is known stays. */
  readonly queue?: QueueOptions | undefined;
  /** How long to try; default 10,000. */
  readonly connectMs?: number | undefined;
}

/**
 * Connects as an agent; without options as the agent that the node started this program for. Resolves when the node has
 * answered. Rejects `unavailable` NODE_UNREACHABLE, `unauthenticated`, or what else the node refuses. Afterwards lost
 * connections are made anew by themselves.
 */
export async function connect(options: ConnectOptions = {}): Promise<Agent> {
  const { window = SDK_LIMITS.windowDefault, receipts = false, redeliver = false } = options;
  if (!Number.isInteger(window) || window < 1 || window > SDK_LIMITS.windowMax)
    throw new FleetwireError('invalid_argument', 'INVALID_WINDOW', `${window} is not a window`, {
      help: `Use a whole number from 1 to ${SDK_LIMITS.windowMax}.`,
    });
  const agent = new Agent({
    settings: settingsOf(options),
    window,
    receipts,
    redeliver,
    profile: profileOf(options.profile),
    takeOver: options.takeOver ?? false,
    queue: queueOf(options.queue),
  });
  await agent.open(options.connectMs ?? SDK_LIMITS.connectMs);
  return agent;
}
