/** Raw limit, first stage: publishes each message on its own to JetStream, with acknowledgement. */

import { connectBroker } from '@fleetwire/broker';
import { runSender } from './pacer.ts';
import { settings, stampedBody, tell } from './protocol.ts';
import { RAW_FIRST, type RawSettings } from './raw-settings.ts';

const { url, creds } = settings<RawSettings>();
const broker = await connectBroker({ urls: [url], name: 'bench-producer', credsFile: creds });
let next = 0;
runSender((phase) => {
  const id = `p${process.pid}-${next++}`;
  broker.store(RAW_FIRST, stampedBody(phase.body_bytes), { msgId: id }).catch((error: unknown) => {
    tell({ type: 'failed', error: String(error) });
  });
});
tell({ type: 'ready' });
