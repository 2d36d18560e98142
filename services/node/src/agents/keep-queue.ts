/** Keeps with an agent how much may wait for it; in force at once, and after a restart. */

import type { QueueSettings } from '@fleetwire/gen/node';
import type { AgentTable } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { HostedAgent } from './hosted-agent.ts';

/** Undefined: what is known stays. What waits already stays too, though it may be more. */
export async function keepQueue(
  { turns, table }: { readonly turns: Turns; readonly table: AgentTable },
  agent: HostedAgent,
  settings: QueueSettings | undefined,
): Promise<void> {
  const before = agent.spec.queue;
  if (settings === undefined || (before !== undefined && same(before, settings))) return;
  await turns.run(() => {
    agent.useQueue(settings);
    table.setSpec(agent.num, agent.spec);
  });
}

function same(a: QueueSettings, b: QueueSettings): boolean {
  return a.messages === b.messages && a.bytes === b.bytes && a.drop === b.drop;
}
