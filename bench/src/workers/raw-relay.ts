/** Raw limit, middle: takes each message of the first stream, publishes it to the second with an id, then acknowledges. */

import { connectBroker } from '@fleetwire/broker';
import { onMessage, settings, tell } from './protocol.ts';
import { RAW_CONSUMERS, RAW_SECOND, RAW_STREAMS, type RawSettings } from './raw-settings.ts';

const { url, creds } = settings<RawSettings>();
const broker = await connectBroker({ urls: [url], name: 'bench-relay', credsFile: creds });
onMessage(() => undefined);
tell({ type: 'ready' });
for await (const batch of broker.pull(RAW_STREAMS.first as never, RAW_CONSUMERS.relay, { batch: 500 }))
  for (const message of batch)
    broker.store(RAW_SECOND, message.data, { msgId: `r${message.sequence}` }).then(
      () => message.ack(),
      (error: unknown) => tell({ type: 'failed', error: String(error) }),
    );
