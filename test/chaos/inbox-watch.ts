/** Looks on at the broker: how often a message was published again, and what is left in the streams at the end. */

import { type Broker, connectBroker } from '@fleetwire/broker';
import { filters, HEADERS, parseRouterConsumer } from '@fleetwire/contract';
import { Envelope, InboxPack } from '@fleetwire/gen/message';
import { fabricUser } from '@fleetwire/testkit';

export interface InboxWatch extends AsyncDisposable {
  /** Messages published under another dedupe id than before: the stream keeps both. */
  readonly repeated: number;
  /** Packs published again under the same id: the stream keeps one, as long as it remembers. */
  readonly deduped: number;
  /** What should be gone once every message has its end: mail in the streams, durables of epochs that are over. */
  left(): Promise<string[]>;
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
  const state = () => left(broker);
  return Object.assign(watch, { left: state, [Symbol.asyncDispose]: () => broker.close() });
}

/**
 * nats-server 2.9 keeps a message now and then that all consumers have acknowledged, one of them just before it was deleted: seen
 * once in a hundred take-overs.
 */
const STRANDED_MAX = 10;

async function left(broker: Broker): Promise<string[]> {
  const found: string[] = [];
  const inbox = (await broker.streams.state('INBOX'))?.messages ?? 0;
  if (inbox > 0) found.push(`${inbox} messages in INBOX`);
  const durables = await broker.consumers.list('INGRESS');
  for (const name of durables) {
    const { numPending = 0, numAckPending = 0 } = (await broker.consumers.info('INGRESS', name)) ?? {};
    if (numPending + numAckPending > 0) found.push(`${numPending + numAckPending} messages for ${name}`);
  }
  const stranded = (await broker.streams.state('INGRESS'))?.messages ?? 0;
  if (found.length === 0 && stranded > STRANDED_MAX) found.push(`${stranded} messages in INGRESS`);
  const newest = new Map<number, number>();
  for (const { partition, epoch } of durables.flatMap((name) => parseRouterConsumer(name) ?? [])) {
    const other = newest.get(partition);
    if (other !== undefined) found.push(`router-p${partition}-e${Math.min(epoch, other)}`);
    newest.set(partition, Math.max(epoch, other ?? 0));
  }
  return found;
}
