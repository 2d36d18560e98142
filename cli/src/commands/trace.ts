/** trace: every hop of a message, or the messages of a conversation; what only the sending node knows so far, from that. */

import type { ConversationMessage } from '@fleetwire/gen/delivery';
import { FleetwireError, isMessageId, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { pages } from '../all-pages.ts';
import type { CommandContext } from '../command-context.ts';
import { conversationDocument, conversationLines } from '../conversation.ts';
import { FailedResult } from '../output.ts';
import { stageName, traceDocument } from '../trace-document.ts';
import { waterfall } from '../waterfall.ts';

/** Messages of one conversation that are read. */
const MESSAGES_MAX = 5000;
const PAGE = 500;

export function addTraceCommand(program: Command, action: Action): void {
  program
    .command('trace')
    .description('show every hop of a message, with times and reasons; or a conversation, as a tree')
    .argument('<id>', 'the id that send printed, or a correlation id')
    .option('--conversation', 'all messages of its conversation')
    .action(action(trace));
}

async function trace(
  context: CommandContext,
  options: { conversation?: boolean },
  id: string,
): Promise<void> {
  if (options.conversation === true || !isMessageId(id)) return await conversation(context, id);
  const { delivery } = await context.hub();
  try {
    const found = await delivery.traceMessage({ id });
    context.output.result(traceDocument(found), () => waterfall(found));
  } catch (error) {
    if (!(error instanceof FleetwireError) || error.reason !== 'MESSAGE_UNKNOWN') throw error;
    throw (await knownHere(context, id)) ?? error;
  }
}

async function conversation(context: CommandContext, id: string): Promise<void> {
  const { delivery } = await context.hub();
  const messages: ConversationMessage[] = [];
  let correlationId = id;
  let more = false;
  try {
    for await (const page of pages((at) => delivery.traceConversation({ id, ...at }), PAGE)) {
      correlationId = page.correlationId;
      messages.push(...page.messages);
      more = page.nextPageToken !== '';
      if (messages.length >= MESSAGES_MAX) break;
    }
  } catch (error) {
    throw isMessageId(id) ? error : notAnId(error, id);
  }
  const found = { correlationId, messages, more };
  context.output.result(conversationDocument(found), () => conversationLines(found));
}

/** What is no id of a message can be a correlation id, which is any text: only where there is none is it a mistake. */
function notAnId(error: unknown, id: string): unknown {
  if (!(error instanceof FleetwireError) || error.reason !== 'CONVERSATION_UNKNOWN') return error;
  const said = `"${printable(id)}" is no id of a message, and history knows no conversation of this name`;
  return new FleetwireError('invalid_argument', 'INVALID_ID', said, {
    help: 'Give the id that `fleetwire send` printed, 26 characters, or a correlation id.',
  });
}

/** Where a node of this machine has sent it: what that one knows, as an error that history does not have it yet. */
async function knownHere(context: CommandContext, id: string): Promise<FailedResult | undefined> {
  for (const { name, node } of await context.runningNodes()) {
    const told = await node.waitMessage({ id, timeoutMs: 0 }).catch(() => undefined);
    if (told === undefined) continue;
    const stages = told.receipts.map(({ recipient, recipientName, stage, final, reason }) => ({
      recipient,
      recipient_name: recipientName,
      stage: stageName(stage),
      final,
      reason,
    }));
    const document = { id, node_name: name, stage: 'accepted', settlements: stages };
    const lines = [
      `message ${id} was accepted by the node ${printable(name)} of this machine`,
      ...stages.map(
        (s) => `  ${s.stage}${s.recipient_name === '' ? '' : ` for ${printable(s.recipient_name)}`}`,
      ),
    ];
    const said =
      'the message is not in history yet: it is on its way there, or still in the outbox of its node';
    const error = new FleetwireError('not_found', 'MESSAGE_NOT_IN_HISTORY', said, {
      help: '`fleetwire status` says what waits in the outboxes of this machine; try again in a moment.',
    });
    return new FailedResult(error, document, lines);
  }
  return undefined;
}
