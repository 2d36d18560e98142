/** A real nats-server with a broker connected to it, and streams and consumers small enough for tests. */

import type { Broker, BrokerOptions, PulledMessage, PullSession } from '@fleetwire/broker';
import { connectBroker } from '@fleetwire/broker';
import type { ConsumerSpec, StreamSpec } from '@fleetwire/contract';
import { filters, inboxSubject, streamSpecs } from '@fleetwire/contract';
import type { TestNats, TestNatsOptions } from '@fleetwire/testkit';
import { startTestNats } from '@fleetwire/testkit';

export interface Rig extends AsyncDisposable {
  readonly nats: TestNats;
  readonly broker: Broker;
  connect(o?: Partial<BrokerOptions>): Promise<Broker>;
}

export async function startRig(o: Partial<BrokerOptions> = {}, server: TestNatsOptions = {}): Promise<Rig> {
  await using building = new AsyncDisposableStack();
  const nats = building.use(await startTestNats(server));
  const broker = await connectBroker({ urls: [nats.url], name: 'test', ...o });
  building.adopt(broker, (made) => made.close());
  const stack = building.move();
  const connect = async (more: Partial<BrokerOptions> = {}) => {
    const another = await connectBroker({ urls: [nats.url], name: 'test', ...more });
    return stack.adopt(another, (made) => made.close());
  };
  return { nats, broker, connect, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The inbox stream with room for `perSubject` messages of one agent. */
export function inboxStream(perSubject = 1000): StreamSpec {
  const spec = streamSpecs().find((s) => s.name === 'INBOX')!;
  return { ...spec, max_msgs_per_subject: perSubject, max_bytes: 256 * 1024 * 1024 };
}

export const NODE_CONSUMER: ConsumerSpec = {
  stream: 'INBOX',
  durable_name: 'node-n1',
  filter_subject: filters.inboxOfNode(0, 'o1', 'n1'),
  ack_policy: 'explicit',
  deliver_policy: 'all',
  ack_wait: 30e9,
  max_deliver: -1,
  max_ack_pending: 4096,
};

export const inbox = (agent: string) => inboxSubject.build({ shard: 0, org: 'o1', node: 'n1', agent });

/** Stores `count` messages `0`, `1`, ... for one agent, in order. */
export async function fill(broker: Broker, count: number, from = 0, agent = 'a1'): Promise<void> {
  const stored = Array.from({ length: count }, (_, i) =>
    broker.store(inbox(agent), Buffer.from(String(from + i)), { msgId: `${agent}-${from + i}` }),
  );
  await Promise.all(stored);
}

/** The next `count` messages of a session. */
export async function take(session: PullSession, count: number): Promise<PulledMessage[]> {
  const messages: PulledMessage[] = [];
  const batches = session[Symbol.asyncIterator]();
  while (messages.length < count) {
    const { done, value } = await batches.next();
    if (done === true) break;
    messages.push(...value);
  }
  return messages;
}

export const textOf = (message: { readonly data: Uint8Array }) => Buffer.from(message.data).toString('utf8');
export const numbers = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => String(from + i));
