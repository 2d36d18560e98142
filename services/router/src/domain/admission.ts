/** Whether an envelope may be routed at all: what it says of itself must agree with the subject that it came on. */

import type { IngressSubject } from '@fleetwire/contract';
import { isSubjectToken, LIMITS, REPLAYS, TTL_CAP_MS } from '@fleetwire/contract';
import { isMessageId } from '@fleetwire/kernel';
import type { EnvelopeHeader } from './header.ts';

/** Bytes of an envelope beside its body: what the header may take. */
const HEADER_BYTES_MAX = 64 * 1024;
/** Of an agent's id: as much as a subject and a column take. Routers remember senders by it. */
const AGENT_CHARS_MAX = 64;

export type Admission =
  /** `deadlineUs`: broker time after which it is no longer delivered. */
  | { readonly kind: 'admit'; readonly deadlineUs: number }
  /** Delivered by the sending node itself. */
  | { readonly kind: 'skip' }
  | { readonly kind: 'expired'; readonly detail: string }
  /**
   * `tellSender`: false where the header cannot be trusted, since a receipt would then speak about somebody
   * else's message.
   */
  | {
      readonly kind: 'refuse';
      readonly reason: string;
      readonly detail: string;
      readonly tellSender: boolean;
    };

export interface Arrival {
  readonly subject: IngressSubject;
  /** When the broker stored it, microseconds. */
  readonly ingressAtUs: number;
  /** Now, in broker time. */
  readonly nowUs: number;
}

/** The time to live counts from the moment the broker accepted the message, in the broker's time. */
export function admit(header: EnvelopeHeader, envelopeBytes: number, arrival: Arrival): Admission {
  const { org, node } = arrival.subject;
  const replayed = node === REPLAYS;
  // A replay is in the name of the node that sent it first: delivery has seen to that, and the broker to whose subject it is.
  if (header.org !== org || (replayed ? !isSubjectToken(header.fromNode) : header.fromNode !== node)) {
    return refuse('FORGED_SENDER', 'the header names another org or node than the subject', false);
  }
  if (header.attempt > 0 !== replayed) {
    return refuse('FORGED_ATTEMPT', `attempt ${header.attempt} is not for its sender to say`, false);
  }
  if (!isMessageId(header.id)) return refuse('INVALID_MESSAGE_ID', 'the id is not a lowercase ULID', false);
  if (!Number.isSafeInteger(header.acceptedAtUs)) {
    // Before what is local is skipped: history cannot read it either, and relies on the dead letter.
    return refuse(
      'INVALID_ACCEPTED_AT',
      'accepted_at_us is out of range: nothing could decode it',
      !header.local,
    );
  }
  if (header.local) return { kind: 'skip' };
  if (replayed && header.localAgent !== '' && !isSubjectToken(header.localAgent)) {
    return refuse('INVALID_ADDRESS', 'the agent that it is replayed for has no such id', false);
  }
  if (header.fromAgent.length > AGENT_CHARS_MAX) {
    return refuse('INVALID_SENDER', `from_agent is no id: ${header.fromAgent.length} characters`, false);
  }
  if (header.ttlMs === 0 || header.ttlMs > TTL_CAP_MS) {
    return refuse('INVALID_TTL', `ttl_ms is ${header.ttlMs}, allowed is 1 to ${TTL_CAP_MS}`, true);
  }
  if (header.bodyBytes > LIMITS.bodyBytes) {
    return refuse('PAYLOAD_TOO_LARGE', `${header.bodyBytes} bytes, allowed are ${LIMITS.bodyBytes}`, true);
  }
  if (envelopeBytes - header.bodyBytes > HEADER_BYTES_MAX) {
    return refuse('HEADER_TOO_LARGE', `more than ${HEADER_BYTES_MAX} bytes beside the body`, true);
  }
  const deadlineUs = arrival.ingressAtUs + header.ttlMs * 1000;
  if (arrival.nowUs > deadlineUs) {
    return { kind: 'expired', detail: `its ${header.ttlMs} ms had passed before it could be routed` };
  }
  return { kind: 'admit', deadlineUs };
}

function refuse(reason: string, detail: string, tellSender: boolean): Admission {
  return { kind: 'refuse', reason, detail, tellSender };
}
