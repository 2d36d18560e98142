/** Mail as a router would have put it into an inbox. */

import { encode } from '@fleetwire/gen/encode';
import { Envelope, InboxEntry } from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import { newMessageId } from '@fleetwire/kernel';
import type { TestNode } from './fixture.ts';

/** For `agent`, sent by some agent of the node `from`. */
export function entry(agent: Agent, from: TestNode, text: string): InboxEntry {
  const id = newMessageId();
  const envelope = encode(
    Envelope,
    Envelope.fromPartial({
      id,
      org: from.welcome.org,
      fromAgent: 'a_0000000000sender',
      fromNode: from.id,
      to: agent.name,
      body: new TextEncoder().encode(text),
    }),
  );
  return InboxEntry.fromPartial({
    envelope,
    recipients: [agent.id],
    deadlineUs: Date.now() * 1000 + 3e8,
    router: 'r',
  });
}
