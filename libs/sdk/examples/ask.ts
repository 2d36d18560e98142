/** Asks an agent (`echo`, or the one named behind the file) and prints its answer; Ctrl-C takes the question back. */

import { connect, FleetwireError } from '@fleetwire/sdk';

const [to = 'echo', question = 'are you there?'] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

await using agent = await connect({ node: 'hub', name: 'asker' });
try {
  const answer = await agent.ask(to, question, { timeoutMs: 30_000, signal: stop.signal });
  console.log(answer.text);
} catch (error) {
  // UNKNOWN_AGENT, QUEUE_FULL and so on at once; ASK_TIMEOUT, ASK_CANCELLED.
  if (!(error instanceof FleetwireError)) throw error;
  console.error(`${error.reason}: ${error.message}`);
  process.exitCode = 1;
}
