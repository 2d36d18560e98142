/** Raw limit, second stage: takes what comes and acknowledges it. */

import { connectBroker } from '@fleetwire/broker';
import { createMeter } from './meter.ts';
import { settings, tell } from './protocol.ts';
import { unpacked } from './raw-pack.ts';
import { RAW_CONSUMERS, RAW_STREAMS, type RawSettings } from './raw-settings.ts';

const { url, creds, packed } = settings<RawSettings>();
const broker = await connectBroker({ urls: [url], name: 'bench-consumer', credsFile: creds });
const meter = createMeter();
tell({ type: 'ready' });
for await (const batch of broker.pull(RAW_STREAMS.second as never, RAW_CONSUMERS.sink, { batch: 500 }))
  for (const message of batch) {
    message.ack();
    if (packed) for (const body of unpacked(message.data)) meter.received(body);
    else meter.received(message.data);
  }
