/** Mail that is being written to a client: kept from other readers meanwhile, then confirmed, or given back at once. */

import { pause } from '@fleetwire/kernel';
import type { AgentDoor } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';
import type { Call } from './tool.ts';

type Pace = Readonly<Record<'holdMs' | 'renewMs' | 'showMs', number>>;

/** They have just been looked at, with a hold of `holdMs`. The node ends a hold a minute after its begin at the latest. */
export function showing(
  door: AgentDoor,
  call: Pick<Call, 'settled'>,
  ids: readonly string[],
  pace: Pace = MCP_LIMITS,
): void {
  if (ids.length === 0) return;
  const over = new AbortController();
  void holding(door, ids, pace, AbortSignal.any([over.signal, door.closed]));
  call.settled((written) => {
    over.abort();
    if (written) door.confirm(ids);
    else door.giveBack(ids);
  });
}

async function holding(
  door: AgentDoor,
  ids: readonly string[],
  { holdMs, renewMs, showMs }: Pace,
  over: AbortSignal,
): Promise<void> {
  const until = performance.now() + showMs;
  for (;;) {
    await pause(renewMs, over);
    if (over.aborted || performance.now() >= until) return;
    await door.hold(ids, holdMs, over);
  }
}
