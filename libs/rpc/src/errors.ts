/** FleetwireError to gRPC status and back, with google.rpc details (https://google.aip.dev/193). */

import { ERROR_TABLE, kindOfGrpcCode } from '@fleetwire/contract';
import { asFleetwireError, type FieldViolation, FleetwireError, toldError } from '@fleetwire/kernel';
import { ClientError, ServerError, Status } from 'nice-grpc-common';
import {
  BadRequest,
  ErrorInfo,
  Help,
  RetryInfo,
  RichClientError,
  RichServerError,
} from 'nice-grpc-error-details';

export const ERROR_DOMAIN = 'fleetwire';

/** What the caller is told; the text of an unexpected error stays here, in the log. */
export function toServerError(thrown: unknown): ServerError {
  if (thrown instanceof ServerError) return thrown;
  const { kind, reason, message, help, details: metadata, violations, retryAfterMs } = toldError(thrown);
  const details: (ErrorInfo | Help | RetryInfo | BadRequest)[] = [
    ErrorInfo.fromPartial({ reason, domain: ERROR_DOMAIN, metadata }),
  ];
  if (help !== undefined) details.push(Help.fromPartial({ links: [{ description: help, url: '' }] }));
  if (retryAfterMs !== undefined) {
    const seconds = Math.floor(retryAfterMs / 1000);
    const nanos = Math.round((retryAfterMs % 1000) * 1e6);
    details.push(RetryInfo.fromPartial({ retryDelay: { seconds, nanos } }));
  }
  if (violations.length > 0) details.push(BadRequest.fromPartial({ fieldViolations: [...violations] }));
  return new RichServerError(ERROR_TABLE[kind].grpc, message, details);
}

/** The error as the server threw it: same kind, reason, help, details. What gRPC itself says gets a reason of its own. */
export function fromClientError(thrown: unknown, service: string, address: string): FleetwireError {
  if (thrown instanceof FleetwireError) return thrown;
  if (!(thrown instanceof ClientError)) return asFleetwireError(thrown);
  const extra = thrown instanceof RichClientError ? thrown.extra : [];
  let info: ErrorInfo | undefined;
  let help: string | undefined;
  let retryAfterMs: number | undefined;
  let violations: readonly FieldViolation[] = [];
  for (const detail of extra) {
    if (detail.$type === ErrorInfo.$type && detail.domain === ERROR_DOMAIN) info = detail;
    else if (detail.$type === Help.$type) help = detail.links[0]?.description;
    else if (detail.$type === RetryInfo.$type && detail.retryDelay)
      retryAfterMs = detail.retryDelay.seconds * 1000 + detail.retryDelay.nanos / 1e6;
    else if (detail.$type === BadRequest.$type)
      violations = detail.fieldViolations.map(({ field, description }) => ({ field, description }));
  }
  if (!info) return fromBareStatus(thrown, service, address);
  return new FleetwireError(kindOfGrpcCode(thrown.code), info.reason, thrown.details, {
    details: info.metadata,
    violations,
    cause: thrown,
    ...(help === undefined ? {} : { help }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** What came from the transport rather than from a handler. */
function fromBareStatus(error: ClientError, service: string, address: string): FleetwireError {
  // A server that is ended by force resets its calls: for the caller that is a lost connection.
  if (error.code === Status.UNAVAILABLE || error.code === Status.CANCELLED)
    return peerUnreachable(service, address, error.details, error);
  const kind = kindOfGrpcCode(error.code);
  const reason = error.code === Status.UNKNOWN ? 'UNKNOWN_STATUS' : kind.toUpperCase();
  return new FleetwireError(kind, reason, `${error.path}: ${error.details}`, { cause: error });
}

export function peerUnreachable(
  service: string,
  address: string,
  why: string,
  cause?: unknown,
): FleetwireError {
  return new FleetwireError(
    'unavailable',
    'PEER_UNREACHABLE',
    `${service} does not answer at ${address}: ${why}`,
    { help: `Check that it runs and that ${address} is its address.`, details: { service, address }, cause },
  );
}

export function deadlineExceeded(method: string, ms: number, cause?: unknown): FleetwireError {
  return new FleetwireError(
    'deadline_exceeded',
    'DEADLINE_EXCEEDED',
    `${method} took longer than ${Math.round(ms)} ms`,
    { details: { method }, cause },
  );
}
