/** send: a message on its way, and with --wait its end. */

import { hasComeTo, kindOfReason, LIMITS, STAGE_RULES, WAY } from '@fleetwire/contract';
import { Priority, type Receipt, Stage } from '@fleetwire/gen/message';
import type { SendResponse, WaitMessageResponse } from '@fleetwire/gen/node';
import { FleetwireError, newMessageId, parseAddress } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf, unusable, wholeNumber } from '../arguments.ts';
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
    .option(
      '--wait <stage|seconds>',
      `wait until it is ${STAGES.join(', ')} for whom it is for; or for its end, so many seconds at most`,
      waitFor,
    )
    .option(
      '--within <seconds>',
      'how long to wait for a stage, at most; what --ttl says when left out',
      wholeNumber('--within', 1, 3600),
    )
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

/** What is waited for: a stage, or, where none is set, the end within so many seconds. */
interface Wanted {
  readonly until: Stage;
  readonly seconds: number | undefined;
}

const STAGES = WAY.map((stage) => STAGE_RULES[stage].name);

function waitFor(text: string): Wanted {
  const until = WAY[STAGES.indexOf(text.toLowerCase())];
  if (until !== undefined) return { until, seconds: undefined };
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= 3600) return { until: Stage.UNSPECIFIED, seconds };
  throw unusable('--wait', text, `Give one of: ${STAGES.join(', ')}; or whole seconds from 1 to 3600.`);
}

interface SendOptions {
  readonly from?: string;
  readonly node?: string;
  readonly wait?: Wanted;
  readonly within?: number;
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
  const until = options.wait?.until ?? Stage.UNSPECIFIED;
  const seconds = options.wait?.seconds ?? options.within ?? options.ttl;
  const timeoutMs = seconds * 1000;
  const waited =
    options.wait === undefined
      ? undefined
      : await node.waitMessage({ id: sent.id, timeoutMs, until }, { deadlineMs: timeoutMs + ANSWER_MS });
  const document = sentDocument(sent, to, traceIdOf(sent.traceparent), waited);
  const lines =
    options.quiet === true ? [sent.id] : [`accepted ${sent.id}`, ...linesOf(waited?.receipts ?? [])];
  const failure = waited && failureOf(sent.id, waited, seconds, until);
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

type Waited = Pick<WaitMessageResponse, 'receipts' | 'final' | 'done' | 'heldBackFor'>;

/**
 * A script can rely on exit code 0: the agent has it, or it was handed over where no proof can be had; with a stage, it has come
 * so far; of many, for each of them. Else the first one for whom it has not gives the reason.
 */
export function failureOf(
  id: string,
  waited: Waited,
  seconds: number,
  until: Stage = Stage.UNSPECIFIED,
): FleetwireError | undefined {
  const { receipts, final, done } = waited;
  const ends = receipts.filter((receipt) => !isCount(receipt));
  const has = (receipt: Receipt): boolean =>
    until === Stage.UNSPECIFIED ? receipt.final && GOOD.includes(receipt.stage) : hasComeTo(receipt, until);
  const failed = ends.filter((receipt) => receipt.final && !has(receipt));
  if (!final && !done)
    return notYet(
      id,
      waited,
      seconds,
      ends.filter((receipt) => !receipt.final && !has(receipt)),
    );
  const [first, ...others] = failed;
  if (first === undefined) return undefined;
  const reason = first.reason || 'NOT_DELIVERED';
  const why = visible(first.detail) || reason;
  const which = ends.length > 1 ? ofMany(first, others.length + 1, ends.length) : '';
  return new FleetwireError(kindOfReason(reason), reason, `${which}${stageName(first.stage)}: ${why}`, {
    help: `See every hop with: fleetwire trace ${id}`,
    details: { id },
  });
}

const GOOD: readonly Stage[] = [Stage.CONFIRMED, Stage.DELIVERED];
/** Recipients that an error names. */
const NAMED_MAX = 5;

/** Says what it waits for, as far as this node knows. */
function notYet(
  id: string,
  { receipts, heldBackFor }: Waited,
  seconds: number,
  open: readonly Receipt[],
): FleetwireError {
  const help = `Look again later with: fleetwire trace ${id}`;
  const still = whatIsOpen(receipts, open);
  const why = heldBackFor === '' ? still : `; it waits on this node, for ${visible(heldBackFor)} is busy`;
  const text = `not settled within ${seconds} s${why}; it goes on by itself`;
  return new FleetwireError('deadline_exceeded', 'NOT_SETTLED_YET', text, { help, details: { id } });
}

function whatIsOpen(receipts: readonly Receipt[], open: readonly Receipt[]): string {
  const count = receipts.find(isCount)?.fanOut ?? 0;
  const heard = receipts.filter((receipt) => !isCount(receipt)).length;
  const unheard = Math.max(0, count - heard);
  const names = open
    .slice(0, NAMED_MAX)
    .map((r) => `${visible(r.recipientName || r.recipient)} (${stageName(r.stage)})`);
  if (open.length > NAMED_MAX) names.push(`${open.length - NAMED_MAX} more`);
  if (unheard > 0) names.push(`${unheard} of whom nothing was heard`);
  return names.length === 0 ? '' : `: open are ${names.join(', ')}`;
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
