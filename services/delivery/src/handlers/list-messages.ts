/** A page of history: filters checked, the page read, what became of each message added. */

import { isKnownStage } from '@fleetwire/contract';
import type { ListMessagesRequest, ListMessagesResponse } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { type Clock, FleetwireError, messageIdTime } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { readPageToken, writePageToken } from '../domain/page-token.ts';
import { wordQuery } from '../domain/word-query.ts';
import { listMessages, type MessageFilter, type MessagePage } from '../store/message-list.ts';
import { findSettlements } from '../store/settlement-table.ts';
import { fromHistory } from './shown-message.ts';

export interface ListLimits {
  /** Recipients of one message that a list shows. */
  readonly recipientsListed: number;
  /** Bytes of messages on one page. */
  readonly pageBytes: number;
  /** Ids that one call may look at: beyond, the page ends early. */
  readonly walkedMax: number;
}

export interface ListParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: ListLimits;
  /** The least ids of the partitions; may be some time old. */
  readonly starts: () => Promise<readonly string[]>;
}

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 500;

export async function listPage(
  parts: ListParts,
  org: string,
  request: ListMessagesRequest,
): Promise<ListMessagesResponse> {
  const { store, clock, limits } = parts;
  const rows = Math.min(request.pageSize || PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX);
  const question = questionOf(org, request);
  const after = readPageToken(request.pageToken, question);
  const filter = filterOf(org, request, after);
  const nowUs = clock.nowUs();
  const bounds = { rows, bytes: limits.pageBytes, walked: limits.walkedMax };
  const page = await inTime(listMessages(store, org, filter, await parts.starts(), nowUs / 1000, bounds));
  const ids = page.rows.map((row) => row.id);
  const settlements = ids.length === 0 ? [] : await findSettlements(store, org, ids, limits.recipientsListed);
  const byMessage = Map.groupBy(settlements, (s) => s.messageId);
  const messages = page.rows.map((row) => fromHistory(row, byMessage.get(row.id) ?? []));
  const nextPageToken = page.next === undefined ? '' : writePageToken(page.next, question);
  const searchedUntilUs = filter.words === '' ? 0 : (page.queuedFromUs ?? nowUs);
  return { messages, nextPageToken, searchedUntilUs };
}

/** All that decides what is on the list. */
function questionOf(org: string, { pageSize: _size, pageToken: _token, ...asked }: ListMessagesRequest) {
  return { org, ...asked };
}

function filterOf(org: string, request: ListMessagesRequest, after: string | undefined): MessageFilter {
  const { correlationId, fromAgent, recipient, to, stage, fromMs, untilMs, text } = request;
  if (stage !== Stage.UNSPECIFIED && !isKnownStage(stage))
    throw invalidFilter(`there is no stage ${Number(stage)}`, 'Give one of the stages of a message.');
  if (untilMs !== 0 && untilMs <= fromMs)
    throw invalidFilter('it ends before it begins', 'Give a time from which on that is before the other.');
  const until = untilMs === 0 ? '' : messageIdTime(untilMs);
  const below = after !== undefined && (until === '' || after < until) ? after : until;
  const from = fromMs <= 0 ? '' : messageIdTime(fromMs);
  const words = text.trim() === '' ? '' : wordQuery(org, text);
  return { correlationId, fromAgent, recipient, to, stage, from, below, words };
}

function invalidFilter(message: string, help: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_FILTER', message, { help });
}

/** A search for words that very many messages have together, where none of the newest does, may take too long. */
async function inTime(page: Promise<MessagePage>): Promise<MessagePage> {
  try {
    return await page;
  } catch (error) {
    if (!(error instanceof FleetwireError) || error.reason !== 'DATABASE_TIMEOUT') throw error;
    throw new FleetwireError('deadline_exceeded', 'SEARCH_TOO_BROAD', 'the search took longer than allowed', {
      help: 'Narrow it: a shorter time (--since, --until), a rarer word, a thread.',
      cause: error,
    });
  }
}
