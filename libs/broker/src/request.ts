/** Requests: to other services over core NATS, and to the JetStream API. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Msg } from '@nats-io/nats-core';
import type { Correlator, Exchange } from './correlator.ts';
import { rawHeaders, statusOf } from './headers.ts';
import type { ApiError } from './jetstream-errors.ts';
import { jetstreamError, nobodyAnswers } from './jetstream-errors.ts';

const failures = {
  timedOut: (subject: string) =>
    new FleetwireError('unavailable', 'REQUEST_TIMEOUT', `no answer on ${subject} in time`),
  cutOff: (subject: string) =>
    new FleetwireError('unavailable', 'CONNECTION_LOST', `the connection was lost while asking ${subject}`),
};

const asking: Exchange<Uint8Array> = {
  ...failures,
  decode(message, subject) {
    checkAnswered(message, subject);
    return message.data;
  },
};

const commanding: Exchange<{ error?: ApiError }> = {
  ...failures,
  decode(message, subject) {
    checkAnswered(message, subject);
    const answer = message.json<{ error?: ApiError }>();
    if (answer.error !== undefined) throw jetstreamError(answer.error, subject);
    return answer;
  },
};

/** See `Broker.request`. */
export function request(
  correlator: Correlator,
  subject: string,
  headers: string,
  payload: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  return correlator.send(subject, headers, payload, timeoutMs, asking);
}

/** The JetStream API (https://docs.nats.io/reference/reference-protocols/nats_api_reference). */
export class JetstreamApi {
  readonly #correlator: Correlator;
  readonly #timeoutMs: number;

  constructor(correlator: Correlator, timeoutMs: number) {
    this.#correlator = correlator;
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects with what `jetstreamError` makes of the answer; unavailable when there is none. */
  async call<T>(operation: string, body?: object): Promise<T> {
    const payload = body === undefined ? NOTHING : Buffer.from(JSON.stringify(body));
    const subject = `$JS.API.${operation}`;
    return (await this.#correlator.send(subject, '', payload, this.#timeoutMs, commanding)) as T;
  }
}

const NOTHING = new Uint8Array(0);

function checkAnswered(message: Msg, subject: string): void {
  if (message.data.length === 0 && statusOf(rawHeaders(message)) === 503) throw nobodyAnswers(subject);
}
