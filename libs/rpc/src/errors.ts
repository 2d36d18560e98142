/** FleetwireError to gRPC status and back, with google.rpc details (https://google.aip.dev/193). */

import { ERROR_TABLE, kindOfGrpcCode } from '@fleetwire/contract';
import { asFleetwireError, type FieldViolation, FleetwireError } from '@fleetwire/kernel';
import { ClientError, ServerError, Status } from 'nice-grpc-common';
import {
  BadRequest,
  ErrorInfo,
  Help,
  RetryInfo,
  RichClientError,
  RichServerError,
} from 'nice-grpc-error-details';
import { RPC_DEFAULTS } from './limits.ts';

export const ERROR_DOMAIN = 'fleetwire';

const cut = (text: string) =>
  text.length > RPC_DEFAULTS.errorChars ? `${text.slice(0, RPC_DEFAULTS.errorChars - 3)}...` : text;

/** What the caller is told; the text of an unexpected error stays here, in the log. */
export function toServerError(thrown: unknown): ServerError {
  if (thrown instanceof ServerError) return thrown;
  const error = asFleetwireError(thrown);
  const unexpected = !(thrown instanceof FleetwireError);
  const metadata = Object.fromEntries(Object.entries(error.details).map(([k, v]) => [k, cut(v)]));
  const details: (ErrorInfo | Help | RetryInfo | BadRequest)[] = [
    ErrorInfo.fromPartial({ reason: error.reason, domain: ERROR_DOMAIN, metadata }),
  ];
  if (error.help !== undefined)
    details.push(Help.fromPartial({ links: [{ description: cut(error.help), url: '' }] }));
  if (error.retryAfterMs !== undefined) {
    const seconds = Math.floor(error.retryAfterMs / 1000);
    const nanos = Math.round((error.retryAfterMs % 1000) * 1e6);
    details.push(RetryInfo.fromPartial({ retryDelay: { seconds, nanos } }));
  }
  if (error.violations.length > 0) {
    const shown = error.violations.slice(0, RPC_DEFAULTS.violations);
    const fieldViolations = shown.map(({ field, description }) => ({
      field: cut(field),
      description: cut(description),
    }));
    details.push(BadRequest.fromPartial({ fieldViolations }));
  }
  const text = unexpected ? 'the service met an unexpected error; its log has the cause' : cut(error.message);
  return new RichServerError(ERROR_TABLE[error.kind].grpc, text, details);
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
