/** Raw limit, first stage: publishes to JetStream, with acknowledgement. */

import { connectBroker } from '@fleetwire/broker';
import { runSender } from './pacer.ts';
import { failed, settings, stampedBody, tell } from './protocol.ts';
import { packer } from './raw-pack.ts';
import { RAW_FIRST, type RawSettings } from './raw-settings.ts';

const { url, creds, packed } = settings<RawSettings>();
const broker = await connectBroker({ urls: [url], name: 'bench-producer', credsFile: creds });
let next = 0;
const publish = (payload: Uint8Array) => {
  const id = `p${process.pid}-${next++}`;
  broker.store(RAW_FIRST, payload, { msgId: id }).catch(failed);
};
const send = packed ? packer(publish) : publish;
runSender((phase, sender) => send(stampedBody(phase.body_bytes, sender)));
tell({ type: 'ready' });
