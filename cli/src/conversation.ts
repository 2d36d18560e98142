/** A conversation for the terminal: its messages as an indented tree on one scale of time; and as a JSON document. */

import type { ConversationMessage, Message } from '@fleetwire/gen/delivery';
import { printable } from '@fleetwire/kernel';
import { type Branch, conversationTree } from './conversation-tree.ts';
import { counted, visible } from './output.ts';
import { stageName } from './trace-document.ts';

export interface Conversation {
  readonly correlationId: string;
  readonly messages: readonly ConversationMessage[];
  /** History has more than were read. */
  readonly more: boolean;
}

interface Line {
  readonly id: string;
  readonly replyTo: string;
  readonly acceptedAtUs: number;
  readonly message: Message;
  readonly text: string;
  readonly cut: boolean;
  /** When it had ended for all its recipients that are known; 0: not yet. */
  readonly endedAtUs: number;
}

const BAR_CHARS = 24;
const DEPTH_SHOWN = 12;
const TEXT_CHARS = 60;

function treeOf({ messages }: Conversation): Branch<Line>[] {
  const lines = messages.map(({ message, text, cut }): Line => {
    const { id, replyTo, acceptedAtUs, settlements } = message!;
    const over = settlements.length > 0 && settlements.every(({ final }) => final);
    const endedAtUs = over ? Math.max(...settlements.map(({ updatedAtUs }) => updatedAtUs)) : 0;
    return { id, replyTo, acceptedAtUs, message: message!, text, cut, endedAtUs };
  });
  return conversationTree(lines);
}

/** In the order of the tree, each with its depth and parent. */
export function conversationDocument(conversation: Conversation): object {
  return {
    correlation_id: conversation.correlationId,
    more: conversation.more,
    messages: treeOf(conversation).map(({ message: line, depth, parent, loose }) => ({
      id: line.id,
      depth,
      parent: parent ?? null,
      reply_to: line.replyTo || null,
      ...(loose === undefined ? {} : { loose }),
      from: line.message.fromName,
      from_agent: line.message.fromAgent,
      to: line.message.to,
      accepted_at: new Date(line.acceptedAtUs / 1000).toISOString(),
      duration_ms: line.endedAtUs === 0 ? null : Math.max(0, line.endedAtUs - line.acceptedAtUs) / 1000,
      text: line.text,
      text_cut: line.cut,
      settlements: line.message.settlements.map((s) => ({
        recipient: s.recipient,
        recipient_name: s.recipientName,
        stage: stageName(s.stage),
        final: s.final,
        reason: s.reason,
        attempt: s.attempt,
      })),
    })),
  };
}

/** One line for each message: who to whom, how it ended, when it began, how long it took, a bar on the scale of all, its text. */
export function conversationLines(conversation: Conversation): string[] {
  const tree = treeOf(conversation);
  const lines = tree.map(({ message }) => message);
  const start = lines.reduce((first, line) => Math.min(first, line.acceptedAtUs), Number.POSITIVE_INFINITY);
  const end = lines.reduce((last, line) => Math.max(last, line.acceptedAtUs, line.endedAtUs), start);
  const whole = Math.max(1, end - start);
  const heads = tree.map(headOf);
  const width = Math.min(60, Math.max(...heads.map((head) => head.length)));
  const shown = tree.map(({ message: line, loose }, i) => {
    const begun = line.acceptedAtUs - start;
    const took = line.endedAtUs === 0 ? '...' : duration(Math.max(0, line.endedAtUs - line.acceptedAtUs));
    const from = Math.floor((begun / whole) * (BAR_CHARS - 1));
    const to = Math.floor(((Math.max(line.endedAtUs, line.acceptedAtUs) - start) / whole) * (BAR_CHARS - 1));
    const bar = `${' '.repeat(from)}${'='.repeat(Math.max(0, to - from))}o`.padEnd(BAR_CHARS);
    const times = `${stageOf(line.message).padEnd(13)} ${`+${duration(begun)}`.padStart(10)} ${took.padStart(10)}`;
    return `${heads[i]!.padEnd(width)}  ${times}  |${bar}| ${said(line, loose)}`.trimEnd();
  });
  const head = `conversation ${printable(conversation.correlationId)}  ${counted(lines.length, 'message')}`;
  const more = conversation.more ? ['there are more: these are the first'] : [];
  return [head, '', ...shown, ...more];
}

function headOf({ message: { message }, depth }: Branch<Line>): string {
  const indent = depth === 0 ? '' : `${'  '.repeat(Math.min(depth, DEPTH_SHOWN) - 1)}└ `;
  return `${indent}${printable(message.fromName || message.fromAgent)} -> ${printable(message.to)}`;
}

/** Of several recipients, how many came how far. */
function stageOf({ settlements, fanOut }: Message): string {
  if (settlements.length === 0) return 'accepted';
  const counts = new Map<string, number>();
  for (const { stage } of settlements) counts.set(stageName(stage), (counts.get(stageName(stage)) ?? 0) + 1);
  const [first] = [...counts].sort(([, a], [, b]) => b - a);
  const total = Math.max(fanOut, settlements.length);
  return total === 1 ? first![0] : `${first![0]} ${first![1]}/${total}`;
}

function said({ replyTo, text, cut }: Line, loose: Branch<Line>['loose']): string {
  const chars = Array.from(text);
  const shown = visible(chars.slice(0, TEXT_CHARS).join('').replaceAll('\n', ' '));
  const rest = cut || chars.length > TEXT_CHARS ? '...' : '';
  if (loose === undefined) return shown + rest;
  const why = loose === 'orphan' ? `answers ${printable(replyTo)}, which is not here` : 'answers in a circle';
  return `${shown}${rest} (${why})`;
}

function duration(us: number): string {
  if (us < 10_000_000) return `${(us / 1000).toFixed(us < 100_000 ? 1 : 0)} ms`;
  const seconds = us / 1_000_000;
  return seconds < 600 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(0)} min`;
}
