/** send: a message on its way, and with --wait its end. */

import { kindOfReason, LIMITS } from '@fleetwire/contract';
import { Priority, type Receipt, Stage } from '@fleetwire/gen/message';
import type { SendResponse, WaitMessageResponse } from '@fleetwire/gen/node';
import { FleetwireError, newMessageId, parseAddress } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf, wholeNumber } from '../arguments.ts';
import { ANSWER_MS, type CommandContext } from '../command-context.ts';
import { FailedResult, visible } from '../output.ts';
import { proofField, stageName } from '../trace-document.ts';

export const PRIORITIES: Readonly<Record<string, Priority>> = {
  low: Priority.LOW,
  normal: Priority.NORMAL,
  high: Priority.HIGH,
  system: Priority.SYSTEM,
};

export function addSendCommand(program: Command, action: Action): void {
  program
    .command('send')
    .description('send a message: fleetwire send bob "hello"')
    .argument('<to>', 'an agent, like bob or bob@laptop, or many, like #ops, %team, *, *@laptop or app:*')
    .argument('[text...]', 'the message; read from standard input when left out')
    .option('--from <agent>', 'send in the name of this agent of this machine')
    .option('--node <name>', 'use this node of this machine')
    .option('--wait <seconds>', 'wait for the end of it, this long at most', wholeNumber('--wait', 1, 3600))
    .option(
      '--ttl <seconds>',
      'how long it may wait once its node has sent it on',
      wholeNumber('--ttl', 1, 3600),
      300,
    )
    .option(
      '--priority <level>',
      `which of your messages for one recipient go first: ${Object.keys(PRIORITIES).join(', ')}`,
      oneOf('--priority', Object.keys(PRIORITIES)),
    )
    .option('--reply-to <id>', 'the message that this one answers')
    .option('--correlation <id>', 'the conversation it belongs to')
    .option('-q, --quiet', 'print the id alone')
    .action(action(send));
}

interface SendOptions {
  readonly from?: string;
  readonly node?: string;
  readonly wait?: number;
  readonly ttl: number;
  readonly priority?: string;
  readonly replyTo?: string;
  readonly correlation?: string;
  readonly quiet?: boolean;
}

async function send(
  context: CommandContext,
  options: SendOptions,
  to: string,
  words: readonly string[],
): Promise<void> {
  parseAddress(to);
  const body = await bodyOf(words);
  const { node, agent } = await context.acting(options.from, options.node);
  const { newTraceparent, traceIdOf } = await import('@fleetwire/telemetry');
  const sent = await node.send({
    from: agent,
    message: {
      id: newMessageId(),
      to,
      body,
      ttlMs: options.ttl * 1000,
      priority: PRIORITIES[options.priority ?? ''] ?? Priority.UNSPECIFIED,
      replyTo: options.replyTo ?? '',
      correlationId: options.correlation ?? '',
      traceparent: newTraceparent(),
    },
  });
  const timeoutMs = (options.wait ?? 0) * 1000;
  const waited =
    options.wait === undefined
      ? undefined
      : await node.waitMessage({ id: sent.id, timeoutMs }, { deadlineMs: timeoutMs + ANSWER_MS });
  const document = sentDocument(sent, to, traceIdOf(sent.traceparent), waited);
  const lines =
    options.quiet === true ? [sent.id] : [`accepted ${sent.id}`, ...linesOf(waited?.receipts ?? [])];
  const failure = waited && failureOf(sent.id, waited, options.wait!);
  if (failure !== undefined) throw new FailedResult(failure, document, lines);
  context.output.result(document, () => lines);
}

/** What was typed behind the name, else all of standard input. Throws BODY_TOO_LARGE or EMPTY_MESSAGE. */
export async function bodyOf(words: readonly string[]): Promise<Buffer> {
  const body = words.length > 0 ? Buffer.from(words.join(' ')) : await readBody(process.stdin);
  if (body.length > LIMITS.bodyBytes) throw bodyTooLarge();
  if (body.length === 0) throw emptyMessage();
  return body;
}

/** All of a stream, which must end within the limit of a body. Throws BODY_TOO_LARGE. */
export async function readBody(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > LIMITS.bodyBytes) throw bodyTooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const emptyMessage = () =>
  new FleetwireError('invalid_argument', 'EMPTY_MESSAGE', 'there is nothing to send', {
    help: 'Give the text behind the name, or on standard input.',
  });

const bodyTooLarge = () =>
  new FleetwireError(
    'invalid_argument',
    'BODY_TOO_LARGE',
    `the message has more than ${LIMITS.bodyBytes} bytes`,
    { help: 'Put it into a file and send the name of that.' },
  );

function sentDocument(
  sent: SendResponse,
  to: string,
  trace_id: string,
  waited: WaitMessageResponse | undefined,
): object {
  const all = waited?.receipts ?? [];
  const receipts = all.filter((receipt) => !isCount(receipt));
  const last = receipts.at(-1);
  const count = all.find(isCount)?.fanOut;
  return {
    id: sent.id,
    correlation_id: sent.correlationId,
    trace_id,
    to,
    stage: last === undefined ? 'accepted' : stageName(last.stage),
    final: waited?.final ?? false,
    ...(count === undefined ? {} : { recipients: Math.max(count, receipts.length) }),
    receipts: receipts.map(receiptDocument),
  };
}

/** Says only how many recipients a router has found. */
const isCount = ({ recipient, stage }: Receipt): boolean => recipient === '' && stage === Stage.ROUTED;

/**
 * A script can rely on exit code 0: the agent has it, or it was handed over where no proof can be had; of many, each of them.
 * Else the first one that has it not gives the reason.
 */
export function failureOf(
  id: string,
  { receipts, final }: Pick<WaitMessageResponse, 'receipts' | 'final'>,
  seconds: number,
): FleetwireError | undefined {
  if (!final)
    return new FleetwireError(
      'deadline_exceeded',
      'NOT_SETTLED_YET',
      `not settled within ${seconds} s; it goes on by itself`,
      { help: `Look again later with: fleetwire trace ${id}`, details: { id } },
    );
  const good: readonly Stage[] = [Stage.CONFIRMED, Stage.DELIVERED];
  const ends = receipts.filter((receipt) => !isCount(receipt));
  const [failed, ...others] = ends.filter((r) => r.final && !good.includes(r.stage));
  if (failed === undefined) return undefined;
  const reason = failed.reason || 'NOT_DELIVERED';
  const why = visible(failed.detail) || reason;
  const which = ends.length > 1 ? ofMany(failed, others.length + 1, ends.length) : '';
  return new FleetwireError(kindOfReason(reason), reason, `${which}${stageName(failed.stage)}: ${why}`, {
    help: `See every hop with: fleetwire trace ${id}`,
    details: { id },
  });
}

const ofMany = ({ recipientName }: Receipt, failed: number, all: number): string =>
  `${failed} of ${all} do not have it; ${visible(recipientName)}: `;

function receiptDocument(receipt: Receipt): object {
  const { recipient, recipientName, reason, detail, final, proof } = receipt;
  const stage = stageName(receipt.stage);
  return { recipient, recipient_name: recipientName, stage, final, reason, detail, ...proofField(proof) };
}

/** Where the sender's own node has served all of them, there is nothing to say of routers. */
export function linesOf(receipts: readonly Receipt[]): string[] {
  return receipts.filter((receipt) => !isCount(receipt) || receipt.fanOut > 0).map(receiptLine);
}

function receiptLine(receipt: Receipt): string {
  if (isCount(receipt))
    return `routed to ${receipt.fanOut} ${receipt.fanOut === 1 ? 'recipient' : 'recipients'} on other nodes`;
  // Where the address has led to nobody, nobody has done anything.
  const who =
    receipt.recipient === '' && receipt.recipientName === ''
      ? `, to ${visible(receipt.to)}`
      : ` by ${visible(receipt.recipientName || receipt.to)}`;
  const why = [receipt.reason, receipt.detail].filter((text) => text !== '').join(': ');
  const first = receipt.hops[0]?.atUs;
  const last = receipt.hops.at(-1)?.atUs;
  const took =
    first === undefined || last === undefined
      ? ''
      : ` after ${(Math.max(0, last - first) / 1000).toFixed(1)} ms`;
  return `${stageName(receipt.stage)}${who}${took}${why === '' ? '' : ` (${visible(why)})`}`;
}
