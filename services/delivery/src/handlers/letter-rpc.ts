/** DeliveryService: pages of dead letters, and one whole letter with what became of its replays. */

import type {
  DeliveryServiceDefinition,
  GetDeadLetterRequest,
  GetDeadLetterResponse,
  LetterReplay,
  LetterSummary,
  ListDeadLettersRequest,
  Message,
} from '@fleetwire/gen/delivery';
import type { Envelope } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcHandlers } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import { letterId, readLetterId, readLetterToken } from '../domain/letter-id.ts';
import { ATTEMPTS_MAX, openLetter } from '../domain/replay-plan.ts';
import { attemptSettlement } from '../domain/settlement.ts';
import {
  ANY_LETTER,
  type LetterHead,
  lettersOf,
  listLetters,
  type StoredLetter,
} from '../store/dead-letter-table.ts';
import { replaysOf } from '../store/replay-table.ts';
import { findSettlements } from '../store/settlement-table.ts';
import { orgOf } from './callers.ts';
import { actOnLetters, type LetterActsParts, whereOf } from './letter-acts.ts';
import { shown } from './shown-message.ts';

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 500;
/** Of what could not be decoded. */
const UNDECODED_BYTES = 64 * 1024;
/** Recipients looked at for what became of replays. */
const RECIPIENTS_MAX = 100;
const LETTERS_OF_MESSAGE_MAX = 500;

type Handlers = RpcHandlers<DeliveryServiceDefinition, Caller>;

export function letterHandlers(
  parts: LetterActsParts,
): Pick<Handlers, 'listDeadLetters' | 'getDeadLetter' | 'replayDeadLetters' | 'dropDeadLetters'> {
  const { store } = parts;
  return {
    listDeadLetters: async (request, context) => await list(store, orgOf(context), request),
    getDeadLetter: async (request, context) => await get(store, orgOf(context), request),
    replayDeadLetters: async (request, context) => await actOnLetters(parts, 'replay', request, context),
    dropDeadLetters: async (request, context) => await actOnLetters(parts, 'drop', request, context),
  };
}

async function list(store: Store, org: string, { filter, pageSize, pageToken }: ListDeadLettersRequest) {
  const size = Math.min(pageSize || PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX);
  const rows = await listLetters(store, org, whereOf(filter), readLetterToken(pageToken), size + 1);
  const letters = rows.slice(0, size);
  const last = letters.at(-1);
  const nextPageToken = rows.length > size && last !== undefined ? letterId(last) : '';
  return { letters: letters.map(summary), nextPageToken };
}

function summary(head: LetterHead): LetterSummary {
  const { storedAtUs, messageId, fromAgent, fromName, to, recipient, reason, detail, attempt } = head;
  const { state, decidedBy, decidedAtUs } = head;
  const said = { messageId, fromAgent, fromName, to, recipient, reason, detail, attempt };
  return { id: letterId(head), storedAtUs, ...said, state, decidedBy, decidedAtUs };
}

/** Rejects not_found LETTER_UNKNOWN, also for another org's. */
async function get(store: Store, org: string, { id }: GetDeadLetterRequest): Promise<GetDeadLetterResponse> {
  const key = readLetterId(id);
  const one = { after: undefined, limit: 1, bytesMax: 1 };
  const [found] = await lettersOf(store, org, [key], one);
  if (found === undefined)
    throw new FleetwireError('not_found', 'LETTER_UNKNOWN', 'there is no dead letter of this id', {
      help: 'See them with: fleetwire dead list',
    });
  const { letter, envelope } = openLetter(org, found.letter);
  const { detail, subject, streamSeq, hops } = letter;
  return {
    letter: { ...summary(found), detail },
    message: envelope && messageOf(envelope, found.bodyKept),
    bodyKept: found.bodyKept,
    undecoded: envelope === undefined ? letter.envelope.subarray(0, UNDECODED_BYTES) : new Uint8Array(0),
    subject,
    streamSeq,
    hops,
    replays: await replays(store, org, found),
  };
}

function messageOf(envelope: Envelope, kept: boolean): Message {
  const bodyMissing = kept ? '' : 'METADATA';
  return { ...envelope, settlements: [], fanOut: 0, bodyMissing, bodyBytes: envelope.body.length };
}

/** Of all letters of this message for this recipient: each attempt, how far it came, and the letters that it ended in. */
async function replays(store: Store, org: string, found: StoredLetter): Promise<LetterReplay[]> {
  const { messageId, recipient } = found;
  if (!isKeyText(messageId)) return [];
  const where = { ...ANY_LETTER, messageId };
  const [made, settlements, letters] = await Promise.all([
    replaysOf(store, org, messageId, ATTEMPTS_MAX),
    findSettlements(store, org, [messageId], RECIPIENTS_MAX),
    listLetters(store, org, where, undefined, LETTERS_OF_MESSAGE_MAX),
  ]);
  return made
    .filter((replay) => replay.recipient === recipient || replay.recipient === '' || recipient === '')
    .map(({ attempt, decidedBy, decidedAtUs, recipient: of }) => ({
      attempt,
      replayedBy: decidedBy,
      replayedAtUs: decidedAtUs,
      settlements: settlements
        .filter((s) => of === '' || s.recipient === of)
        .flatMap((s) => {
          const settlement = attemptSettlement(s.settlement, attempt);
          return settlement === undefined ? [] : [shown({ ...s, settlement })];
        })
        // Where it led to somebody, that it led to nobody before says nothing.
        .filter((s, _, all) => s.recipient !== '' || all.length === 1),
      letters: letters
        .filter((l) => l.attempt === attempt && (of === '' || l.recipient === of))
        .map(letterId),
    }));
}
