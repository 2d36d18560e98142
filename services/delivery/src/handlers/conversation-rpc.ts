/** TraceConversation: pages of one conversation, each message with its ends and the first characters of its text. */

import type {
  ConversationMessage,
  DeliveryServiceDefinition,
  TraceConversationRequest,
  TraceConversationResponse,
} from '@fleetwire/gen/delivery';
import { Envelope } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcHandlers } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import { isTextType } from '../domain/history-mode.ts';
import { readPageToken, writePageToken } from '../domain/page-token.ts';
import { listConversation } from '../store/conversation-table.ts';
import { findMessage, type StoredMessage } from '../store/message-table.ts';
import { findSettlements, type StoredSettlement } from '../store/settlement-table.ts';
import { orgOf } from './callers.ts';
import type { ListLimits } from './list-messages.ts';
import { fromHistory } from './shown-message.ts';

const PAGE_SIZE_DEFAULT = 200;
const PAGE_SIZE_MAX = 1000;
const TEXT_CHARS = 200;
const EMPTY = new Uint8Array(0);

type Limits = Pick<ListLimits, 'recipientsListed' | 'pageBytes'>;

export function conversationHandlers(
  store: Store,
  limits: Limits,
): Pick<RpcHandlers<DeliveryServiceDefinition, Caller>, 'traceConversation'> {
  return {
    traceConversation: async (request, context) => await trace(store, orgOf(context), request, limits),
  };
}

/** Rejects not_found CONVERSATION_UNKNOWN, also for another org's. */
async function trace(
  store: Store,
  org: string,
  { id, pageSize, pageToken }: TraceConversationRequest,
  { pageBytes, recipientsListed }: Limits,
): Promise<TraceConversationResponse> {
  const limit = Math.min(pageSize || PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX);
  const question = { org, conversation: id };
  const after = readPageToken(pageToken, question) ?? '';
  const correlationId = await correlationOf(store, org, id);
  const rows = await listConversation(store, org, correlationId, {
    after,
    limit: limit + 1,
    bytesMax: pageBytes,
  });
  if (rows.length === 0 && after === '') throw unknown();
  // One row more than a page, or as many as the bytes let through.
  const shown = rows.length > limit ? rows.slice(0, limit) : rows;
  const last = shown.at(-1);
  const bytes = rows.reduce((sum, { envelope }) => sum + envelope.length, 0);
  const more = last !== undefined && (rows.length > limit || bytes >= pageBytes);
  const ids = shown.map((row) => row.id);
  const byMessage = Map.groupBy(await findSettlements(store, org, ids, recipientsListed), (s) => s.messageId);
  const messages = shown.map((row) => messageOf(row, byMessage.get(row.id) ?? []));
  return { correlationId, messages, nextPageToken: more ? writePageToken(last.id, question) : '' };
}

/** Of a message its conversation's; of anything else, that itself. */
async function correlationOf(store: Store, org: string, id: string): Promise<string> {
  if (id === '') throw unknown();
  const message = isKeyText(id) ? await findMessage(store, org, id) : undefined;
  return message === undefined ? id : Envelope.decode(message.envelope).correlationId || message.id;
}

function unknown(): FleetwireError {
  return new FleetwireError('not_found', 'CONVERSATION_UNKNOWN', 'history knows no conversation of this id', {
    help: 'Give a correlation id, or the id of one of its messages: `fleetwire send --json` prints both.',
  });
}

function messageOf(row: StoredMessage, settlements: readonly StoredSettlement[]): ConversationMessage {
  const message = fromHistory(row, settlements);
  const { text, cut } = textOf(message.contentType, message.body);
  return { message: { ...message, body: EMPTY }, text, cut };
}

/** Whole characters; nothing of what is no text. */
function textOf(contentType: string, body: Uint8Array): { text: string; cut: boolean } {
  if (!isTextType(contentType)) return { text: '', cut: false };
  // Four bytes to a character at most; what is cut in the middle of one shows as a replacement beyond the end.
  const decoded = new TextDecoder().decode(body.subarray(0, 4 * TEXT_CHARS + 4));
  const chars = Array.from(decoded);
  return { text: chars.slice(0, TEXT_CHARS).join(''), cut: chars.length > TEXT_CHARS };
}
