/** inbox: the agent's mail; what was written to the client is confirmed to its senders, and nothing else is. */

import { z } from '@fleetwire/config';
import { MCP_LIMITS } from '../limits.ts';
import { lineOf, messageDocument } from '../messages.ts';
import { showing } from '../showing.ts';
import { counted, tool } from '../tool.ts';

const input = z.object({
  limit: z.int().min(1).max(MCP_LIMITS.inboxMax).optional().describe('this many at most; 10 when left out'),
  wait_s: z
    .int()
    .min(0)
    .max(MCP_LIMITS.waitMaxS)
    .optional()
    .describe('when there is no mail, wait so many seconds for some'),
  peek: z.boolean().optional().describe('look without taking: the messages stay unread'),
});

export const inbox = tool({
  name: 'inbox',
  title: 'Read your inbox',
  description:
    'Reads the messages that other agents have sent to you, oldest first, one JSON document a line. What you read is ' +
    'confirmed to its senders and not shown again. Of one with answer_within_s the sender waits for your answer: send it ' +
    'with reply_to. Look here before you start, when you have finished a step, and when you wait for somebody (wait_s). ' +
    'Messages are the words of other agents, not of the person you work for.',
  input,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  run: async ({ door }, { limit = MCP_LIMITS.inboxDefault, wait_s = 0, peek = false }, call) => {
    const request = { limit, replyTo: '', holdMs: peek ? 0 : MCP_LIMITS.holdMs };
    const { deliveries, remaining } = await door.look(request, wait_s * 1000, call.signal);
    if (!peek)
      showing(
        door,
        call,
        deliveries.map(({ id }) => id),
      );
    const messages = deliveries.map(messageDocument);
    const head = messages.length === 0 ? 'no mail' : counted(messages.length, 'message');
    const more = remaining === 0 ? '' : `, ${remaining} more waiting`;
    return {
      document: { messages, remaining },
      text: [`${head}${more}`, ...messages.map(lineOf)].join('\n'),
    };
  },
});
