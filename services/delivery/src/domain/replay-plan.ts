/** Whether a dead letter may be sent again, and as what: decided from the letter and what is known of the fabric. */

import { ingressSubject, isSubjectToken, REPLAYS } from '@fleetwire/contract';
import { LetterState } from '@fleetwire/gen/delivery';
import { DeadLetter, Envelope } from '@fleetwire/gen/message';
import { isMessageId } from '@fleetwire/kernel';

/** What is kept of a letter that matters here. */
export interface ReplayCandidate {
  readonly org: string;
  /** Empty where the envelope could not be decoded. */
  readonly messageId: string;
  /** Agent id; empty: it led to nobody. */
  readonly recipient: string;
  readonly state: LetterState;
  readonly attempt: number;
  /** The node that has written it, which the broker enforces; empty: a service. */
  readonly author: string;
  readonly bodyKept: boolean;
  /** The encoded DeadLetter. */
  readonly letter: Uint8Array;
}

export interface ReplayFacts {
  /** The latest attempt at its message, where that has come back to the sender or expired: no other letter tells of it. */
  cameBack(candidate: ReplayCandidate): number | undefined;
  /** False for agents that the org does not have any more. */
  isAgent(id: string): boolean;
  /** The message as history has it, by its id; undefined: not there, or without its body. */
  history(messageId: string): Envelope | undefined;
}

export type ReplayDecision =
  | { readonly kind: 'replay'; readonly messageId: string; readonly attempt: number }
  | { readonly kind: 'refuse'; readonly messageId: string; readonly reason: string; readonly detail: string };

/** Beyond that, trying again is no answer. */
export const ATTEMPTS_MAX = 100;

/** The letter and, where it can be decoded and is of the org, its envelope. Never throws. */
export function openLetter(org: string, bytes: Uint8Array): { letter: DeadLetter; envelope?: Envelope } {
  const letter = readOr(() => DeadLetter.decode(bytes)) ?? DeadLetter.fromPartial({ envelope: bytes });
  const envelope = letter.decoded ? readOr(() => Envelope.decode(letter.envelope)) : undefined;
  return envelope?.org === org ? { letter, envelope } : { letter };
}

export function planReplay(candidate: ReplayCandidate, facts: ReplayFacts): ReplayDecision {
  const { org, recipient, state, attempt, bodyKept } = candidate;
  const { letter, envelope } = openLetter(org, candidate.letter);
  const messageId = envelope?.id ?? '';
  const refuse = (reason: string, detail: string) => ({ kind: 'refuse', messageId, reason, detail }) as const;
  if (state === LetterState.DROPPED) return refuse('LETTER_DROPPED', 'it was dropped');
  const last = state === LetterState.REPLAYED ? facts.cameBack(candidate) : attempt;
  if (last === undefined)
    return refuse(
      'LETTER_REPLAYED',
      'it was replayed; should that have failed, there is a letter of its own',
    );
  if (envelope === undefined || !isMessageId(messageId) || !isSubjectToken(envelope.fromNode))
    return refuse('LETTER_UNREADABLE', 'its envelope cannot be read');
  if (!bodyKept) return refuse('LETTER_WITHOUT_BODY', 'the settings of the org keep no bodies');
  if (!isGenuine(candidate, letter, envelope, facts))
    return refuse('LETTER_UNTRUSTED', 'nobody but the letter says that this sender has sent it');
  if (last >= ATTEMPTS_MAX) return refuse('ATTEMPTS_EXHAUSTED', `there were ${last} replays of it`);
  if (!facts.isAgent(envelope.fromAgent)) return refuse('SENDER_REMOVED', 'its sender is not there any more');
  if (recipient !== '' && !facts.isAgent(recipient))
    return refuse('RECIPIENT_REMOVED', 'the agent that it was for is not there any more');
  return { kind: 'replay', messageId, attempt: last + 1 };
}

/**
 * A replay speaks in the name of the sender, so somebody must have checked who that is: a router, by the subject on which the
 * message came; or the sending node itself says so; or history knows it as exactly this.
 */
function isGenuine(
  { org, author }: ReplayCandidate,
  letter: DeadLetter,
  envelope: Envelope,
  facts: ReplayFacts,
): boolean {
  const { fromNode } = envelope;
  const came = ingressSubject.parse(letter.subject);
  if (author === '' && came !== undefined && came.org === org)
    return came.node === fromNode || (came.node === REPLAYS && envelope.attempt > 0);
  if (author === fromNode) return true;
  const known = facts.history(envelope.id);
  return (
    known !== undefined &&
    known.fromNode === fromNode &&
    known.fromAgent === envelope.fromAgent &&
    known.to === envelope.to &&
    Buffer.compare(known.body, envelope.body) === 0
  );
}

/** The envelope as it is sent again: to one recipient where the letter was about one, through the hub in any case. */
export function replayedEnvelope(envelope: Envelope, recipient: string, attempt: number): Envelope {
  const localServed = recipient === '' && envelope.localServed;
  return { ...envelope, attempt, local: false, localAgent: recipient, localServed };
}

function readOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
