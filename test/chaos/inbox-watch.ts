/** Looks on at what routers publish to inboxes, to tell how often a message was published again. */

import { connectBroker } from '@fleetwire/broker';
import { filters, HEADERS } from '@fleetwire/contract';
import { Envelope, InboxPack } from '@fleetwire/gen/message';
import { fabricUser } from '@fleetwire/testkit';

export interface InboxWatch extends AsyncDisposable {
  /** Messages published under another dedupe id than before: the stream keeps both. */
  readonly repeated: number;
  /** Packs published again under the same id: the stream keeps one, as long as it remembers. */
  readonly deduped: number;
}

/** A subscriber of core NATS: it takes nothing away from the stream, and a figure is all that hangs on it. */
export async function watchInboxes(natsUrl: string, keysDir: string): Promise<InboxWatch> {
  const credsFile = await fabricUser(keysDir);
  const broker = await connectBroker({ urls: [natsUrl], name: 'chaos-watch', credsFile });
  const packs = new Set<string>();
  const messages = new Set<string>();
  const watch = { repeated: 0, deduped: 0 };
  broker.subscribe(filters.allInbox, (message) => {
    const pack = message.header(HEADERS.msgId);
    if (packs.has(pack)) {
      watch.deduped++;
      return;
    }
    packs.add(pack);
    for (const { envelope } of InboxPack.decode(message.data).entries) {
      const { id } = Envelope.decode(envelope);
      if (messages.has(id)) watch.repeated++;
      messages.add(id);
    }
  });
  return Object.assign(watch, { [Symbol.asyncDispose]: () => broker.close() });
}
