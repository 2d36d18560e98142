/** Publishing to JetStream: known to be stored, known to be refused, or in doubt. */

import { HEADERS } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import type { Msg } from '@nats-io/nats-core';
import type { Correlator, Exchange } from './correlator.ts';
import { headerBlock, headerLine, rawHeaders, statusOf } from './headers.ts';
import type { ApiError } from './jetstream-errors.ts';
import { jetstreamError, nobodyAnswers } from './jetstream-errors.ts';

export interface StoreOptions {
  /** The stream drops a second message of this id within its window. */
  readonly msgId: string;
  readonly traceparent?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface Stored {
  /** Of the stream. */
  readonly sequence: number;
  /** True when the stream already had a message of this id; the sequence is then that one's. */
  readonly duplicate: boolean;
}

const storing: Exchange<Stored> = {
  decode: readPubAck,
  timedOut: (subject) => inDoubt(subject, 'no answer in time'),
  cutOff: (subject) => inDoubt(subject, 'the connection was lost'),
};

/** See `Broker.store`. */
export function store(
  correlator: Correlator,
  subject: string,
  payload: Uint8Array,
  o: StoreOptions,
  timeoutMs: number,
): Promise<Stored> {
  const lines =
    headerLine(HEADERS.msgId, o.msgId) +
    headerLine(HEADERS.traceparent, o.traceparent) +
    headerLine(HEADERS.correlationId, o.correlationId);
  return storeWith(correlator, subject, headerBlock(lines), payload, o.timeoutMs ?? timeoutMs);
}

/** The same with any header block. */
export function storeWith(
  correlator: Correlator,
  subject: string,
  headers: string,
  payload: Uint8Array,
  timeoutMs: number,
): Promise<Stored> {
  return correlator.send(subject, headers, payload, timeoutMs, storing);
}

interface PubAck {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: ApiError;
}

const CLOSING_BRACE = 125;
const COLON = 58;
const ZERO = 48;

/** Almost every answer is `{"stream":"X", "seq":123}`: read from its end; anything else is parsed. */
function readPubAck(message: Msg, subject: string): Stored {
  const data = message.data;
  let at = data.length - 1;
  if (at > 12 && data[at] === CLOSING_BRACE) {
    let sequence = 0;
    let scale = 1;
    for (at--; at > 0; at--) {
      const digit = data[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      sequence += digit * scale;
      scale *= 10;
    }
    if (scale > 1 && data[at] === COLON && isSeq(data, at)) return { sequence, duplicate: false };
  }
  return parsePubAck(message, subject);
}

/** Is it `"seq":` that ends at `colon`, in an answer that starts with `{"stream"`? */
function isSeq(data: Uint8Array, colon: number): boolean {
  return (
    data[2] === 115 && // s
    data[3] === 116 && // t
    data[colon - 5] === 34 && // "
    data[colon - 4] === 115 && // s
    data[colon - 3] === 101 && // e
    data[colon - 2] === 113 // q
  );
}

function parsePubAck(message: Msg, subject: string): Stored {
  const status = statusOf(rawHeaders(message));
  if (status === 503) throw nobodyAnswers(subject);
  const ack = parse(message);
  if (ack?.error !== undefined) throw jetstreamError(ack.error, `publishing to ${subject}`);
  if (typeof ack?.seq !== 'number') throw inDoubt(subject, 'what answered was not a stream');
  return { sequence: ack.seq, duplicate: ack.duplicate === true };
}

function parse(message: Msg): PubAck | undefined {
  try {
    return message.json<PubAck>();
  } catch {
    return undefined;
  }
}

function inDoubt(subject: string, why: string): FleetwireError {
  return new FleetwireError('unavailable', 'PUBLISH_IN_DOUBT', `publishing to ${subject}: ${why}`, {
    help: 'Publish the same message with the same id again.',
  });
}
