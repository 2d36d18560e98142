/** The inbox stream as the sweep sees it: read one by one at the stream's leader, deleted by sequence. */

import type { Broker } from '@fleetwire/broker';
import { filters } from '@fleetwire/contract';
import type { InboxStream } from './sweep.ts';

export function inboxStream(broker: Broker): InboxStream {
  const { messages, streams } = broker;
  return {
    next: (sequence) => messages.nextBySubject('INBOX', filters.allInbox, sequence),
    last: async () => (await streams.state('INBOX'))?.lastSequence ?? 0,
    get: (sequence) => messages.get('INBOX', sequence),
    remove: async (sequence) => void (await messages.deleteMessage('INBOX', sequence)),
  };
}
