/** send, inbox, trace: messages and what became of them. */

import { readFileSync } from 'node:fs';
import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import { type Receipt, Stage, stageToJSON } from '@fleetwire/gen/message';
import type { Delivery } from '@fleetwire/gen/node';
import { FleetwireError, newMessageId, printable } from '@fleetwire/kernel';
import { currentTraceparent, newTraceparent, traceIdOf } from '@fleetwire/telemetry';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import type { Action } from '../program.ts';
import { waterfall } from '../waterfall.ts';

export function addMessageCommands(program: Command, action: Action): void {
  program
    .command('send')
    .description('send a message: fleetwire send bob "hello"')
    .argument('<to>', 'name of an agent, or name@node')
    .argument('[text...]', 'the message; read from standard input when left out')
    .option('--from <agent>', 'send in the name of this agent of this machine')
    .option('--node <name>', 'use this node of this machine')
    .option('--wait <seconds>', 'wait for the end of it, this long at most', wholeNumber('--wait', 1, 3600))
    .option('--ttl <seconds>', 'how long it may wait', wholeNumber('--ttl', 1, 3600), 300)
    .option('--reply-to <id>', 'the message that this one answers')
    .option('--correlation <id>', 'the conversation it belongs to')
    .action(action(send));
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

interface SendOptions {
  readonly from?: string;
  readonly node?: string;
  readonly wait?: number;
  readonly ttl: number;
  readonly replyTo?: string;
  readonly correlation?: string;
}

async function send(
  context: CommandContext,
  options: SendOptions,
  to: string,
  words: readonly string[],
): Promise<void> {
  const body = words.length > 0 ? Buffer.from(words.join(' ')) : readFileSync(0);
  const acting = await context.acting(options.from, options.node);
  const sent = await acting.node.send({
    from: acting.agent,
    message: {
      id: newMessageId(),
      to,
      body,
      ttlMs: options.ttl * 1000,
      replyTo: options.replyTo ?? '',
      correlationId: options.correlation ?? '',
      traceparent: currentTraceparent() || newTraceparent(),
    },
  });
  const base = { id: sent.id, correlation_id: sent.correlationId, trace_id: traceIdOf(sent.traceparent), to };
  if (options.wait === undefined)
    return context.output.result(
      { ...base, stage: 'accepted', final: false, receipts: [] },
      () => `accepted ${sent.id}`,
    );
  const waited = await acting.node.waitMessage({ id: sent.id, timeoutMs: options.wait * 1000 });
  const last = waited.receipts.at(-1);
  const document = {
    ...base,
    stage: last === undefined ? 'accepted' : stageName(last.stage),
    final: waited.final,
    receipts: waited.receipts.map(receiptDocument),
  };
  context.output.result(document, () => [`accepted ${sent.id}`, ...waited.receipts.map(receiptLine)]);
  failUnlessDelivered(waited.receipts, waited.final, options.wait);
}

/** A script can rely on exit code 0: the agent has it, or it was handed over where no proof can be had. */
function failUnlessDelivered(receipts: readonly Receipt[], final: boolean, seconds: number): void {
  if (!final)
    throw new FleetwireError(
      'deadline_exceeded',
      'NOT_SETTLED_YET',
      `not settled within ${seconds} s; it goes on by itself`,
      {
        help: 'Look again later with: fleetwire trace <id>',
      },
    );
  const failed = receipts.find(
    (r) => r.final && ![Stage.CONFIRMED, Stage.DELIVERED].includes(r.stage as 4 | 5),
  );
  if (failed !== undefined)
    throw new FleetwireError(
      'failed_precondition',
      failed.reason || 'NOT_DELIVERED',
      `${stageName(failed.stage)}: ${failed.detail || failed.reason}`,
      {
        help: 'See every hop with: fleetwire trace <id>',
      },
    );
}

export const stageName = (stage: Stage): string => stageToJSON(stage).replace('STAGE_', '').toLowerCase();

function receiptDocument(receipt: Receipt): object {
  const { recipient, recipientName, reason, detail, final } = receipt;
  return { recipient, recipient_name: recipientName, stage: stageName(receipt.stage), final, reason, detail };
}

export function receiptLine(receipt: Receipt): string {
  const who = receipt.recipientName || receipt.to;
  const why = [receipt.reason, receipt.detail].filter((text) => text !== '').join(': ');
  const first = receipt.hops[0]?.atUs;
  const last = receipt.hops.at(-1)?.atUs;
  const took =
    first === undefined || last === undefined ? '' : ` after ${((last - first) / 1000).toFixed(1)} ms`;
  return `${stageName(receipt.stage)} by ${printable(who)}${took}${why === '' ? '' : ` (${printable(why)})`}`;
}

async function inbox(
  context: CommandContext,
  options: { node?: string; peek?: boolean; wait: number; limit: number },
  agent: string | undefined,
): Promise<void> {
  const acting = await context.acting(agent, options.node);
  const read = await acting.node.readInbox({
    agent: acting.agent,
    limit: options.limit,
    waitMs: options.wait * 1000,
    peek: options.peek === true,
  });
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
