/** An agent that answers whatever it is sent, until it is stopped: `fleetwire agent stop echo`, or Ctrl-C. */

import { connect } from '@fleetwire/sdk';

await using agent = await connect({ node: 'hub', name: 'echo' });
console.log(`${agent.name} on ${agent.node}`);
for await (const message of agent.messages()) {
  console.log(`${message.from}: ${message.text}`);
  await agent.reply(message, `you said: ${message.text}`);
}
