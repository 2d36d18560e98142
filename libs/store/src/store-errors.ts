/** Tells the errors of PostgreSQL and its driver apart: away, conflict, refused, ours. */

import { FleetwireError } from '@fleetwire/kernel';

/** Failures of the socket, as Node.js names them. */
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** PostgreSQL states in which the same call works later (https://www.postgresql.org/docs/17/errcodes-appendix.html). */
const AWAY_STATES = new Set(['57P01', '57P02', '57P03', '57P05', '53300', '25006']);

/** The driver gives these no code. */
const AWAY_TEXTS = [
  'Connection terminated',
  'Client has encountered a connection error',
  'timeout exceeded when trying to connect',
  'Client was closed and is not queryable',
];

const CONFLICT_STATES = new Set(['40001', '40P01', '55P03']);
/** Texts with NUL, which PostgreSQL cannot keep, nor look for. */
const TEXT_STATES = new Set(['22021', '22P05']);
const REFUSED_STATES = new Set(['28P01', '28000', '3D000', '42501']);

/** True when PostgreSQL cannot be reached, is starting, stopping or has no connection free: the same call may work later. */
export function isStoreAway(error: unknown): boolean {
  return chain(error).some((e) => {
    if (e instanceof FleetwireError) return e.reason === 'DATABASE_AWAY';
    const code = codeOf(e);
    if (SOCKET_CODES.has(code) || AWAY_STATES.has(code) || /^08...$/.test(code)) return true;
    if (code === 'ENOENT' && (e as { syscall?: unknown }).syscall === 'connect') return true;
    return code === '' && AWAY_TEXTS.some((text) => e.message.includes(text));
  });
}

/** True for the breach of a unique constraint; with `constraint`: of that one. */
export function isConflict(error: unknown, constraint?: string): boolean {
  return chain(error).some(
    (e) =>
      codeOf(e) === '23505' &&
      (constraint === undefined || (e as { constraint?: unknown }).constraint === constraint),
  );
}

/**
 * The error as callers see it. FleetwireErrors pass unchanged, and so does what is not the database's
 * (the caller's own throw from within a transaction, a breach of a constraint).
 */
export function asStoreError(thrown: unknown): unknown {
  if (thrown instanceof FleetwireError) return thrown;
  if (isStoreAway(thrown)) {
    return new FleetwireError('unavailable', 'DATABASE_AWAY', 'the database cannot be reached', {
      help: 'Try again in a moment; if it lasts, check that PostgreSQL runs and that the URL is right.',
      retryAfterMs: 1000,
      cause: thrown,
    });
  }
  const codes = chain(thrown).map(codeOf);
  if (codes.some((code) => CONFLICT_STATES.has(code))) {
    return new FleetwireError('aborted', 'DATABASE_CONFLICT', 'another transaction was in the way', {
      retryAfterMs: 50,
      cause: thrown,
    });
  }
  if (codes.some((code) => TEXT_STATES.has(code))) {
    return new FleetwireError('invalid_argument', 'INVALID_TEXT', 'a text holds NUL, which cannot be kept', {
      help: 'Leave it out.',
      cause: thrown,
    });
  }
  if (codes.includes('57014')) {
    return new FleetwireError('deadline_exceeded', 'DATABASE_TIMEOUT', 'a query took longer than allowed', {
      cause: thrown,
    });
  }
  if (codes.some((code) => REFUSED_STATES.has(code))) {
    return new FleetwireError(
      'failed_precondition',
      'DATABASE_REFUSED',
      'PostgreSQL refuses the connection',
      {
        help: 'Check user, password, database name and rights in the database URL.',
        cause: thrown,
      },
    );
  }
  return thrown;
}

function codeOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : '';
}

/** The error, its causes and, of an AggregateError (a host with several addresses), its parts. */
function chain(error: unknown): Error[] {
  const found: Error[] = [];
  const open: unknown[] = [error];
  while (open.length > 0 && found.length < 16) {
    const next = open.shift();
    if (!(next instanceof Error) || found.includes(next)) continue;
    found.push(next);
    if (next.cause !== undefined) open.push(next.cause);
    if (next instanceof AggregateError) open.push(...next.errors);
  }
  return found;
}
