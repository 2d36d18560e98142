/** Writes to all members of a channel, and prints the answers that come within two seconds. */

import { connect } from '@fleetwire/sdk';

const [channel = '#ops'] = process.argv.slice(2);
await using agent = await connect({ node: 'hub', name: 'caller' });
const { id } = await agent.send(channel, 'who is there?');
for await (const message of agent.messages({ signal: AbortSignal.timeout(2000) }))
  if (message.replyTo === id) console.log(`${message.from}: ${message.text}`);
