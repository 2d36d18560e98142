/** inbox: messages that came in. */

import type { Delivery } from '@fleetwire/gen/node';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { wholeNumber } from '../arguments.ts';
import { ANSWER_MS, type CommandContext } from '../command-context.ts';

export function addMessageCommands(program: Command, action: Action): void {
  program
    .command('inbox')
    .description('read the mail of an agent that has no program of its own (the operator by default)')
    .argument('[agent]', 'an agent of this machine')
    .option('--node <name>', 'use this node of this machine')
    .option('--peek', 'look without taking')
    .option('--wait <seconds>', 'wait this long for a first message', wholeNumber('--wait', 0, 60), 0)
    .option('--limit <n>', 'this many at most', wholeNumber('--limit', 1, 500), 50)
    .action(action(inbox));
}

async function inbox(
  context: CommandContext,
  options: { node?: string; peek?: boolean; wait: number; limit: number },
  agent: string | undefined,
): Promise<void> {
  const acting = await context.acting(agent, options.node);
  const waitMs = options.wait * 1000;
  const read = await acting.node.readInbox(
    { agent: acting.agent, limit: options.limit, waitMs, peek: options.peek === true },
    { deadlineMs: waitMs + ANSWER_MS },
  );
  const messages = read.deliveries.map(deliveryDocument);
  context.output.result({ messages, remaining: read.remaining }, () =>
    messages.length === 0 ? 'no mail' : read.deliveries.map(deliveryLine),
  );
}

export function deliveryDocument(delivery: Delivery): object {
  return {
    id: delivery.id,
    from: delivery.fromName,
    from_agent: delivery.fromAgent,
    to: delivery.to,
    body: new TextDecoder().decode(delivery.body),
    content_type: delivery.contentType,
    correlation_id: delivery.correlationId,
    reply_to: delivery.replyTo,
    accepted_at: new Date(delivery.acceptedAtUs / 1000).toISOString(),
  };
}

function deliveryLine(delivery: Delivery): string {
  const at = new Date(delivery.acceptedAtUs / 1000).toISOString().slice(11, 19);
  const text = new TextDecoder().decode(delivery.body);
  return `${at}  ${delivery.fromName}: ${text.replace(/[^\P{C}\n\t]/gu, '\uFFFD')}\n          ${delivery.id}`;
}
