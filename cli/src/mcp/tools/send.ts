/** send: a message on its way, and with wait_s what has become of it. */

import { z } from '@fleetwire/config';
import { LIMITS } from '@fleetwire/contract';
import { Priority, type Receipt, Stage } from '@fleetwire/gen/message';
import { newMessageId, parseAddress } from '@fleetwire/kernel';
import { newTraceparent } from '@fleetwire/telemetry';
import { visible } from '../../output.ts';
import { stageName } from '../../trace-document.ts';
import { MCP_LIMITS } from '../limits.ts';
import { bodyFor } from '../messages.ts';
import { tool } from '../tool.ts';

export const PRIORITIES = { low: Priority.LOW, normal: Priority.NORMAL, high: Priority.HIGH } as const;

export const address = z
  .string()
  .min(1)
  .max(LIMITS.addressChars)
  .describe('name of an agent, such as bob or bob@laptop; ?capability for any one agent that has it');

/** Each character is a byte at least. */
export const text = z.string().min(1).max(LIMITS.bodyBytes);

const input = z.object({
  to: address.describe(
    'name of an agent, such as bob or bob@laptop; ?capability for any one that has it; or many: #channel, %group, *, *@laptop',
  ),
  text: text.describe('the message, at most 1 MiB'),
  reply_to: z.string().max(64).optional().describe('id of the message that this one answers'),
  priority: z
    .enum(['low', 'normal', 'high'])
    .optional()
    .describe('which of your messages for one recipient go first; normal when left out'),
  wait_s: z
    .int()
    .min(0)
    .max(MCP_LIMITS.waitMaxS)
    .optional()
    .describe(
      'wait for the end of it, this many seconds at most; without it you are told that it was accepted',
    ),
});

export const send = tool({
  name: 'send',
  title: 'Send a message',
  description:
    'Sends a message to another agent, or to many, and returns its id. Once accepted it is not lost: it is delivered, or ' +
    'trace says why not. It does not wait for an answer: answers come into your inbox, or use ask. To answer a message, ' +
    'send to its sender with reply_to.',
  input,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  run: async ({ door }, { to, text: given, reply_to, priority, wait_s = 0 }, call) => {
    parseAddress(to);
    const body = bodyFor(given);
    const message = {
      id: newMessageId(),
      to,
      body,
      replyTo: reply_to ?? '',
      priority: priority === undefined ? Priority.UNSPECIFIED : PRIORITIES[priority],
      traceparent: newTraceparent(),
    };
    const { id } = await door.call((node) => node.send({ message }));
    if (wait_s === 0)
      return { document: { id, to, stage: 'accepted', final: false }, text: `accepted, id ${id}` };
    const timeoutMs = wait_s * 1000;
    const { receipts, final } = await door.call((node) =>
      node.waitMessage({ id, timeoutMs }, { deadlineMs: timeoutMs + MCP_LIMITS.callMs, signal: call.signal }),
    );
    const ends = receipts.filter((receipt) => !isCount(receipt));
    const last = ends.at(-1);
    const stage = last === undefined ? 'accepted' : stageName(last.stage);
    const document = { id, to, stage, final, recipients: ends.map(recipientDocument) };
    const lines = ends.map(recipientLine);
    const more = final ? '' : `\nnot at its end after ${wait_s} s; it goes on by itself: trace tells`;
    return { document, text: `accepted, id ${id}${lines.map((line) => `\n${line}`).join('')}${more}` };
  },
});

/** Says only how many recipients a router has found. */
export const isCount = ({ recipient, stage }: Receipt): boolean => recipient === '' && stage === Stage.ROUTED;

export const recipientDocument = (receipt: Receipt): object => ({
  recipient: receipt.recipientName || receipt.to,
  stage: stageName(receipt.stage),
  final: receipt.final,
  reason: receipt.reason,
  detail: receipt.detail,
});

export function recipientLine({ recipientName, to, stage, reason, detail }: Receipt): string {
  const why = [reason, detail].filter((part) => part !== '').join(': ');
  return `${visible(recipientName || to)}: ${stageName(stage)}${why === '' ? '' : ` (${visible(why)})`}`;
}
