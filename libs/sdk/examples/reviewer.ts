/** A worker that acknowledges what it has done, takes up what an earlier run has left, and works for nobody in vain. */

import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '@fleetwire/sdk';

const profile = { capabilities: ['review'] };
await using agent = await connect({ node: 'hub', name: 'reviewer', profile, window: 4, redeliver: true });
console.log('ready');
for await (const message of agent.messages({ autoAck: false })) {
  console.log(`begins ${message.text}`);
  try {
    await pause(1000, undefined, { signal: message.signal }); // the work, which ends when nobody waits for it any more
    await agent.reply(message, `reviewed ${message.text}`);
  } catch (error) {
    if (!message.signal.aborted) throw error;
    console.log(`drops ${message.text}: ${message.signal.reason.reason}`);
  }
  message.ack();
}
