/** A program that follows receipts by a NATS client and the proto files alone: what docs/guides/subscribers.md shows. */

import { readFileSync } from 'node:fs';
import { ReceiptBatch, stageToJSON } from '@fleetwire/gen/message';
import { jetstream } from '@nats-io/jetstream';
import { connect, credsAuthenticator } from '@nats-io/transport-node';

const [creds, servers, inboxPrefix, domain, stream, consumer, until] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];

const connection = await connect({
  servers,
  inboxPrefix,
  // Read at each connect, so that a renewed file is taken up.
  authenticator: (nonce) => credsAuthenticator(readFileSync(creds))(nonce),
});
const place = await jetstream(connection, { domain, checkAPI: false }).consumers.get(stream, consumer);
// Pulls shorter than two minutes: for so long the servers keep the way back into the org's account.
for await (const message of await place.consume({ max_messages: 100, expires: 30_000 })) {
  const { receipts } = ReceiptBatch.decode(message.data);
  for (const { messageId, stage } of receipts) console.log(`${messageId} ${stageToJSON(stage)}`);
  message.ack();
  if (receipts.some(({ messageId, final }) => final && messageId === until)) break;
}
await connection.drain();
