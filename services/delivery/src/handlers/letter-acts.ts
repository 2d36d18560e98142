/** ReplayDeadLetters and DropDeadLetters: by ids or by a filter, a bounded number in a call, each letter once. */

import {
  type DropDeadLettersRequest,
  type LetterFilter,
  type LetterOutcome,
  LetterState,
  type ReplayDeadLettersRequest,
} from '@fleetwire/gen/delivery';
import { Envelope } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import {
  compareLetters,
  type LetterKey,
  letterId,
  readLetterId,
  readLetterToken,
} from '../domain/letter-id.ts';
import { openLetter, planReplay, type ReplayCandidate, type ReplayFacts } from '../domain/replay-plan.ts';
import { attemptThatCameBack } from '../domain/settlement.ts';
import {
  ANY_LETTER,
  countLetters,
  type LetterBatch,
  type LetterWhere,
  letterBatch,
  lettersOf,
  type StoredLetter,
} from '../store/dead-letter-table.ts';
import { findMessage, NOTHING_LEFT_OUT } from '../store/message-table.ts';
import {
  beginRequest,
  decidedBy,
  decideLetters,
  findRequest,
  type LetterAction,
  type LetterRequest,
  type ReplayRow,
  recordReplays,
  replayedBy,
} from '../store/replay-table.ts';
import { findSettlements } from '../store/settlement-table.ts';
import { adminOf } from './callers.ts';
import { type LetterAuditParts, tellAudit } from './letter-audit.ts';
import { publishReplays, type ReplayDeskParts } from './replay-desk.ts';
import type { Roster } from './roster.ts';

export interface LetterActsParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly roster: Pick<Roster, 'agents'>;
  readonly desk: ReplayDeskParts;
  readonly audit: LetterAuditParts;
  /** Bytes of letters in one call. */
  readonly bytesMax: number;
}

export const IDS_MAX = 500;
const LIMITS = { initial: 100, max: 500 } as const;
/** Counted for a dry run. */
export const MATCHED_MAX = 100_000;
const REQUEST_ID = /^[0-9A-Za-z_-]{16,64}$/;

/** Of one message, looked at for what became of its last replay. */
const RECIPIENTS_MAX = 1000;

type ActRequest = ReplayDeadLettersRequest | DropDeadLettersRequest;

/** What a request means: these letters, or the open ones that a filter finds. */
type Selection = { readonly keys: readonly LetterKey[] } | { readonly where: LetterWhere };

interface Answer {
  letters: LetterOutcome[];
  continuation: string;
  matched: number;
}

/**
 * Rejects permission_denied SCOPE_MISSING, invalid_argument SELECTION_INVALID, INVALID_ID, INVALID_REQUEST_ID or
 * INVALID_PAGE_TOKEN, already_exists REQUEST_ID_REUSED. What cannot be done with one letter is in its outcome.
 */
export async function actOnLetters(
  parts: LetterActsParts,
  action: LetterAction,
  request: ActRequest,
  context: RpcContext<Caller>,
): Promise<Answer> {
  const { org, user } = adminOf(context);
  const selection = selectionOf(request);
  if (request.dryRun)
    return { letters: [], continuation: '', matched: await count(parts.store, org, selection) };
  const after = readLetterToken(request.continuation);
  const begun = await begin(parts, { org, action, decidedBy: user, requestId: request.requestId }, request);
  // A call before this one, of the same request, may have ended in the middle.
  await complete(parts, begun);
  const limit = Math.min(request.limit || LIMITS.initial, LIMITS.max);
  const batch = { after, limit, bytesMax: parts.bytesMax };
  const { letters, unknown, last } = await select(parts.store, org, selection, batch, begun.begunAtUs);
  const decided =
    action === 'replay' ? await replay(parts, begun, letters) : await drop(parts, begun, letters);
  await complete(parts, (await findRequest(parts.store, org, begun.requestId))!);
  const outcomes = [...decided, ...unknown].sort((a, b) =>
    compareLetters(readLetterId(a.id), readLetterId(b.id)),
  );
  return { letters: outcomes, continuation: last === undefined ? '' : letterId(last), matched: 0 };
}

async function complete(parts: LetterActsParts, request: LetterRequest): Promise<void> {
  if (request.action === 'replay') await publishReplays(parts.desk, request);
  await tellAudit(parts.audit, request);
}

function selectionOf({ ids, filter }: ActRequest): Selection {
  if (ids.length > 0 === (filter !== undefined) || ids.length > IDS_MAX)
    throw new FleetwireError(
      'invalid_argument',
      'SELECTION_INVALID',
      `give either a filter or 1 to ${IDS_MAX} ids of letters`,
      { help: 'A filter without conditions means all letters that are open.' },
    );
  if (filter !== undefined) return { where: { ...whereOf(filter), state: LetterState.OPEN } };
  const keys = new Map(ids.map((id) => [id, readLetterId(id)]));
  return { keys: [...keys.values()].sort(compareLetters) };
}

export function whereOf(filter: LetterFilter | undefined): LetterWhere {
  return filter === undefined ? ANY_LETTER : { ...filter };
}

function count(store: Store, org: string, selection: Selection): Promise<number> {
  if ('where' in selection) return countLetters(store, org, selection.where, MATCHED_MAX);
  return Promise.resolve(selection.keys.length);
}

async function begin(
  { store, clock }: LetterActsParts,
  who: Pick<LetterRequest, 'org' | 'action' | 'decidedBy' | 'requestId'>,
  request: ActRequest,
): Promise<LetterRequest> {
  if (!REQUEST_ID.test(who.requestId))
    throw new FleetwireError('invalid_argument', 'INVALID_REQUEST_ID', 'a request needs an id of its own', {
      help: '16 to 64 random letters, digits, - or _; the same for all calls of one request.',
    });
  const selection = selectionText(request);
  const wanted = { ...who, selection, begunAtUs: clock.nowUs(), done: 0, told: 0, doneAtUs: 0 };
  const begun = await beginRequest(store, wanted);
  const same = begun.action === who.action && begun.selection === selection;
  if (same && begun.decidedBy === who.decidedBy) return begun;
  throw new FleetwireError('already_exists', 'REQUEST_ID_REUSED', 'this id is that of another request', {
    help: 'Make a new id for each request, and repeat it only with the same ids or filter.',
  });
}

/** For people in the audit, and to know a repeated request; of many ids, so many as fit. */
function selectionText({ ids, filter }: ActRequest): string {
  if (filter === undefined)
    return ids.length === 1 ? ids[0]! : `${ids.length} ids: ${ids.join(' ')}`.slice(0, 1000);
  const { reason, recipient, sender, messageId: message, fromUs, untilUs } = filter;
  const time = (us: number) => (us === 0 ? '' : new Date(us / 1000).toISOString());
  const all = { reason, recipient, sender, message, from: time(fromUs), until: time(untilUs) };
  const said = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}=${value}`]));
  return said.length === 0 ? 'all' : said.join(' ').slice(0, 1000).replaceAll('\0', '\ufffd');
}

interface Selected {
  readonly letters: readonly StoredLetter[];
  /** Ids that are none of this org's. */
  readonly unknown: readonly LetterOutcome[];
  /** Where the next call goes on; undefined: that was all. */
  readonly last: LetterKey | undefined;
}

async function select(
  store: Store,
  org: string,
  selection: Selection,
  batch: LetterBatch,
  begunAtUs: number,
): Promise<Selected> {
  if ('where' in selection) {
    const { untilUs } = selection.where;
    // What dies again while the request is under way is not replayed by it once more.
    const bound = untilUs === 0 ? begunAtUs : Math.min(untilUs, begunAtUs);
    const letters = await letterBatch(store, org, { ...selection.where, untilUs: bound }, batch);
    const more = letters.length === batch.limit || bytesOf(letters) >= batch.bytesMax;
    return { letters, unknown: [], last: more ? letters.at(-1) : undefined };
  }
  const { after, limit, bytesMax } = batch;
  const rest = selection.keys.filter((key) => after === undefined || compareLetters(key, after) > 0);
  const keys = rest.slice(0, limit);
  const letters = await lettersOf(store, org, keys, batch);
  const end = bytesOf(letters) >= bytesMax ? letters.at(-1) : keys.at(-1);
  if (end === undefined) return { letters, unknown: [], last: undefined };
  const found = new Set(letters.map(letterId));
  const unknown = keys
    .filter((key) => !found.has(letterId(key)) && compareLetters(key, end) <= 0)
    .map((key) => refused(key, '', 'LETTER_UNKNOWN', 'there is no letter of this id'));
  return { letters, unknown, last: compareLetters(rest.at(-1)!, end) > 0 ? end : undefined };
}

const bytesOf = (letters: readonly StoredLetter[]): number =>
  letters.reduce((bytes, { letter }) => bytes + letter.length, 0);

const refused = (key: LetterKey, messageId: string, reason: string, detail: string): LetterOutcome => ({
  id: letterId(key),
  messageId,
  attempt: 0,
  reason,
  detail,
});

async function replay(
  parts: LetterActsParts,
  { org, requestId, decidedBy: user }: LetterRequest,
  letters: readonly StoredLetter[],
): Promise<LetterOutcome[]> {
  const { store, clock } = parts;
  const facts = await factsOf(parts, org, letters, requestId);
  const decisions = letters.map((letter) => ({ letter, decision: planReplay({ org, ...letter }, facts) }));
  const decidedAtUs = clock.nowUs();
  const rows = decisions.flatMap(({ letter, decision }): ReplayRow[] => {
    if (decision.kind === 'refuse') return [];
    const { storedAtUs, sequence, recipient } = letter;
    const { messageId, attempt } = decision;
    return [
      { org, storedAtUs, sequence, recipient, messageId, attempt, requestId, decidedBy: user, decidedAtUs },
    ];
  });
  await store.transaction((tx) => recordReplays(tx, rows, LetterState.REPLAYED));
  const done = new Map(
    (await replayedBy(store, requestId, letters)).map((row) => [letterId(row), row.attempt]),
  );
  return decisions.map(({ letter, decision }) => {
    const { messageId } = decision;
    const attempt = done.get(letterId(letter));
    if (attempt !== undefined) return { ...refused(letter, messageId, '', ''), attempt };
    if (decision.kind === 'refuse') return refused(letter, messageId, decision.reason, decision.detail);
    return refused(letter, messageId, 'LETTER_REPLAYED', 'it was replayed, or dropped, a moment ago');
  });
}

async function drop(
  { store, clock }: LetterActsParts,
  { org, requestId, decidedBy: user }: LetterRequest,
  letters: readonly StoredLetter[],
): Promise<LetterOutcome[]> {
  const state = LetterState.DROPPED;
  const decision = { state, decidedBy: user, decidedAtUs: clock.nowUs(), requestId };
  await store.transaction((tx) => decideLetters(tx, org, letters, decision));
  const done = new Set((await decidedBy(store, requestId, letters)).map(letterId));
  return letters.map((letter) => {
    if (done.has(letterId(letter))) return refused(letter, letter.messageId, '', '');
    const replayed = letter.state === LetterState.REPLAYED;
    const reason = replayed ? 'LETTER_REPLAYED' : 'LETTER_DROPPED';
    return refused(letter, letter.messageId, reason, `it was ${replayed ? 'replayed' : 'dropped'} before`);
  });
}

async function factsOf(
  { store, roster }: LetterActsParts,
  org: string,
  letters: readonly StoredLetter[],
  requestId: string,
): Promise<ReplayFacts> {
  const senders = letters.flatMap(({ letter }) => openLetter(org, letter).envelope?.fromAgent ?? []);
  const recipients = letters.flatMap(({ recipient }) => (recipient === '' ? [] : [recipient]));
  const agents = await roster.agents(org, [...senders, ...recipients]);
  const isAgent = (id: string) => agents.has(id);
  const again = letters
    .filter(({ state }) => state === LetterState.REPLAYED)
    .map(({ messageId }) => messageId);
  const ends = Map.groupBy(await findSettlements(store, org, again, RECIPIENTS_MAX), (end) => end.messageId);
  const own = new Set(
    letters.filter((letter) => letter.requestId === requestId).map(({ messageId }) => messageId),
  );
  const cameBack = ({ messageId, recipient }: ReplayCandidate) => {
    const of = (ends.get(messageId) ?? []).filter((end) => recipient === '' || end.recipient === recipient);
    return own.has(messageId) ? undefined : attemptThatCameBack(of);
  };
  const known = new Map<string, Envelope>();
  for (const letter of letters) {
    const first = planReplay({ org, ...letter }, { isAgent, cameBack, history: () => undefined });
    if (first.kind !== 'refuse' || first.reason !== 'LETTER_UNTRUSTED') continue;
    const found = await findMessage(store, org, first.messageId);
    if (found?.leftOutBytes === NOTHING_LEFT_OUT) known.set(first.messageId, Envelope.decode(found.envelope));
  }
  return { isAgent, cameBack, history: (id) => known.get(id) };
}
