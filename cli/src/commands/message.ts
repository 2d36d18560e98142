/** inbox, trace: messages that came in, and what became of one. */

import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import { type Stage, stageToJSON } from '@fleetwire/gen/message';
import type { Delivery } from '@fleetwire/gen/node';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import type { Action } from '../program.ts';
import { waterfall } from '../waterfall.ts';

/** Milliseconds for the answer to a call that waits for something, on top of that. */
export const ANSWER_MS = 10_000;

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
  program
    .command('trace')
    .description('show every hop of a message, with times and reasons')
    .argument('<id>', 'the id that send printed')
    .action(action(trace));
}

export const stageName = (stage: Stage): string => stageToJSON(stage).replace('STAGE_', '').toLowerCase();

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

function deliveryDocument(delivery: Delivery): object {
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

async function trace(context: CommandContext, _options: object, id: string): Promise<void> {
  const hub = await context.hub();
  const found = await hub.delivery.traceMessage({ id });
  context.output.result(traceDocument(found), () => waterfall(found));
}

export function traceDocument(trace: TraceMessageResponse): object {
  const message = trace.message!;
  return {
    id: message.id,
    trace_id: trace.traceId,
    correlation_id: message.correlationId,
    from: message.fromName,
    to: message.to,
    hops: trace.hops.map(({ sequence, recipient, hop, sincePreviousUs }) => ({
      sequence,
      stage: stageName(hop!.stage),
      service: hop!.service,
      instance: hop!.instance,
      at: new Date(hop!.atUs / 1000).toISOString(),
      since_previous_ms: sincePreviousUs / 1000,
      recipient,
      reason: hop!.reason,
      detail: hop!.detail,
    })),
    settlements: message.settlements.map((s) => ({
      recipient: s.recipient,
      recipient_name: s.recipientName,
      stage: stageName(s.stage),
      final: s.final,
      reason: s.reason,
      detail: s.detail,
    })),
  };
}
