/** Sends a message to each of the agents that are named behind the file, and says what became of it. */

import { connect, Stage } from '@fleetwire/sdk';

const names = process.argv.slice(2);
await using agent = await connect({ node: 'hub', name: 'follower', receipts: true });
const sent = await agent.sendMany(names.map((to) => ({ to, body: 'hello' })));
const open = new Set(sent.filter(({ error }) => error === undefined).map(({ id }) => id));
if (open.size > 0)
  for await (const { messageId, stage, final, reason, to } of agent.receipts()) {
    if (!final || !open.delete(messageId)) continue;
    console.log(`${to}: ${stage === Stage.CONFIRMED ? 'has it' : reason}`);
    if (open.size === 0) break;
  }
