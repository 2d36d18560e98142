/** The one error table: what each kind of error is on gRPC, on JetStream and on HTTP. */

import type { ErrorKind } from '@fleetwire/kernel';

/**
 * What a consumer does with a message whose handling ended in this kind:
 * - `ack`: it is settled otherwise (refused with a receipt);
 * - `nak_delay`: try again later, because a dependency is away;
 * - `dead_letter`: it can never work: record it durably, then acknowledge.
 */
export type Disposition = 'ack' | 'nak_delay' | 'dead_letter';

export interface ErrorRow {
  /** google.rpc.Code, https://grpc.io/docs/guides/status-codes/. */
  readonly grpc: number;
  readonly http: number;
  readonly disposition: Disposition;
  /** May the same call work later, unchanged? */
  readonly retryable: boolean;
  /** Exit code of the command line, in the manner of sysexits(3). */
  readonly exit: number;
}

export const ERROR_TABLE: Readonly<Record<ErrorKind, ErrorRow>> = {
  invalid_argument: { grpc: 3, http: 400, disposition: 'dead_letter', retryable: false, exit: 64 },
  unauthenticated: { grpc: 16, http: 401, disposition: 'dead_letter', retryable: false, exit: 77 },
  permission_denied: { grpc: 7, http: 403, disposition: 'dead_letter', retryable: false, exit: 77 },
  not_found: { grpc: 5, http: 404, disposition: 'dead_letter', retryable: false, exit: 68 },
  already_exists: { grpc: 6, http: 409, disposition: 'dead_letter', retryable: false, exit: 73 },
  failed_precondition: { grpc: 9, http: 412, disposition: 'dead_letter', retryable: false, exit: 78 },
  resource_exhausted: { grpc: 8, http: 429, disposition: 'nak_delay', retryable: true, exit: 75 },
  aborted: { grpc: 10, http: 409, disposition: 'nak_delay', retryable: true, exit: 75 },
  cancelled: { grpc: 1, http: 499, disposition: 'nak_delay', retryable: true, exit: 75 },
  deadline_exceeded: { grpc: 4, http: 504, disposition: 'nak_delay', retryable: true, exit: 75 },
  unimplemented: { grpc: 12, http: 501, disposition: 'dead_letter', retryable: false, exit: 69 },
  unavailable: { grpc: 14, http: 503, disposition: 'nak_delay', retryable: true, exit: 69 },
  data_loss: { grpc: 15, http: 500, disposition: 'dead_letter', retryable: false, exit: 74 },
  internal: { grpc: 13, http: 500, disposition: 'dead_letter', retryable: false, exit: 70 },
};

export function kindOfGrpcCode(code: number): ErrorKind {
  for (const [kind, row] of Object.entries(ERROR_TABLE)) if (row.grpc === code) return kind as ErrorKind;
  return 'internal';
}
