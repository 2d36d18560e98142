/** What JetStream's numbers mean to us; its texts are for people and never decided upon. */

import type { ErrorKind } from '@fleetwire/kernel';
import { FleetwireError } from '@fleetwire/kernel';

/** The `error` of an answer of the JetStream API, and of a refused publish. */
export interface ApiError {
  readonly code?: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** From nats-server's errors.json. */
export const ERR_CODES = {
  accountResourcesExceeded: 10002,
  insufficientResources: 10023,
  consumerNotFound: 10014,
  memoryResourcesExceeded: 10028,
  messageNotFound: 10037,
  storageResourcesExceeded: 10047,
  messageDeleteFailed: 10057,
  messageTooLarge: 10054,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  wrongLastSequenceUnknown: 10164,
  storeFailed: 10077,
  overlappingFilter: 10100,
  notUniqueFilter: 10099,
  consumerExists: 10148,
  duplicateInProcess: 10158,
  tooManyRequests: 10167,
} as const;

const MEANINGS: Readonly<Record<number, readonly [ErrorKind, string]>> = {
  // Disk, memory or the account's share of them: no bound of a stream, and nothing that a sender could help.
  [ERR_CODES.insufficientResources]: ['unavailable', 'JETSTREAM_FULL'],
  [ERR_CODES.accountResourcesExceeded]: ['unavailable', 'JETSTREAM_FULL'],
  [ERR_CODES.memoryResourcesExceeded]: ['unavailable', 'JETSTREAM_FULL'],
  [ERR_CODES.storageResourcesExceeded]: ['unavailable', 'JETSTREAM_FULL'],
  // Mostly a bound of the stream, but a disk that cannot be written ends so as well: `streams.isFull` tells.
  [ERR_CODES.storeFailed]: ['resource_exhausted', 'STREAM_FULL'],
  [ERR_CODES.messageTooLarge]: ['invalid_argument', 'PAYLOAD_TOO_LARGE'],
  [ERR_CODES.consumerNotFound]: ['not_found', 'CONSUMER_MISSING'],
  [ERR_CODES.streamNotFound]: ['not_found', 'STREAM_MISSING'],
  [ERR_CODES.messageNotFound]: ['not_found', 'STORED_MESSAGE_MISSING'],
  [ERR_CODES.wrongLastSequence]: ['aborted', 'REVISION_CONFLICT'],
  [ERR_CODES.wrongLastSequenceUnknown]: ['aborted', 'REVISION_CONFLICT'],
  [ERR_CODES.overlappingFilter]: ['failed_precondition', 'CONSUMERS_OVERLAP'],
  [ERR_CODES.notUniqueFilter]: ['failed_precondition', 'CONSUMERS_OVERLAP'],
  [ERR_CODES.consumerExists]: ['already_exists', 'CONSUMER_EXISTS'],
  [ERR_CODES.duplicateInProcess]: ['unavailable', 'PUBLISH_IN_DOUBT'],
  [ERR_CODES.tooManyRequests]: ['unavailable', 'JETSTREAM_BUSY'],
};

const KINDS_BY_STATUS: Readonly<Record<number, ErrorKind>> = {
  400: 'invalid_argument',
  404: 'not_found',
  408: 'unavailable',
  409: 'aborted',
  429: 'unavailable',
  503: 'unavailable',
};

/** `details.err_code` carries the number. */
export function jetstreamError(error: ApiError, doing: string): FleetwireError {
  const number = error.err_code ?? 0;
  const [kind, reason] = MEANINGS[number] ?? [
    KINDS_BY_STATUS[error.code ?? 0] ?? 'internal',
    'JETSTREAM_REFUSED',
  ];
  return new FleetwireError(kind, reason, `${doing}: ${error.description ?? 'refused'} (${number})`, {
    details: { err_code: String(number), status: String(error.code ?? 0) },
  });
}

export function isJetstreamError(error: unknown, ...numbers: readonly number[]): boolean {
  return error instanceof FleetwireError && numbers.includes(Number(error.details['err_code']));
}

/** Nobody answers: no JetStream, no such stream, or none of its servers leads at the moment. */
export function nobodyAnswers(subject: string): FleetwireError {
  return new FleetwireError('unavailable', 'NO_RESPONDERS', `nobody answers on ${subject}`, {
    retryAfterMs: 500,
  });
}
