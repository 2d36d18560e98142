/** The one error type of the fabric: a kind that machines act on, a stable reason, and help for people. */

/** Kinds in use; `libs/contract/src/errors.ts` maps each to gRPC, JetStream and HTTP. */
export const ERROR_KINDS = [
  'invalid_argument',
  'unauthenticated',
  'permission_denied',
  'not_found',
  'already_exists',
  'failed_precondition',
  'resource_exhausted',
  'aborted',
  'cancelled',
  'deadline_exceeded',
  'unimplemented',
  'unavailable',
  'data_loss',
  'internal',
] as const;

export type ErrorKind = (typeof ERROR_KINDS)[number];

/** One field of a request that does not fit. */
export interface FieldViolation {
  /** Path as in the request, such as `policy.rules[0].agents`. */
  readonly field: string;
  readonly description: string;
}

export interface ErrorExtras {
  /** What the reader should do, as one imperative sentence. */
  readonly help?: string;
  /** Facts for machines, all strings; never secrets. */
  readonly details?: Readonly<Record<string, string>>;
  /** Milliseconds after which a retry makes sense. */
  readonly retryAfterMs?: number;
  /** All that do not fit, so that they can be mended at once. */
  readonly violations?: readonly FieldViolation[];
  readonly cause?: unknown;
}

/** `reason` is the API (UPPER_SNAKE_CASE, stable); `message` may change at any time. */
export class FleetwireError extends Error {
  override readonly name = 'FleetwireError';
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly help: string | undefined;
  readonly details: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly violations: readonly FieldViolation[];

  constructor(kind: ErrorKind, reason: string, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.kind = kind;
    this.reason = reason;
    this.help = extras.help;
    this.details = extras.details ?? {};
    this.retryAfterMs = extras.retryAfterMs;
    this.violations = extras.violations ?? [];
  }
}

/** Takes anything thrown and gives a FleetwireError; what was none becomes `internal` / `INTERNAL` with its cause. */
export function asFleetwireError(thrown: unknown): FleetwireError {
  if (thrown instanceof FleetwireError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new FleetwireError('internal', 'INTERNAL', message, { cause: thrown });
}

/** Bounds of what a client is told of one error: characters of each text, and how many violations. */
export const TOLD = { chars: 1_000, violations: 20 } as const;

/** An error as a client may see it. */
export interface ToldError {
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly message: string;
  readonly help: string | undefined;
  readonly details: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
}

/** Cut to `TOLD`; of an unexpected error nothing but that it happened: its text is for the log only. */
export function toldError(thrown: unknown): ToldError {
  const { kind, reason, message, help, details, violations, retryAfterMs } = asFleetwireError(thrown);
  const expected = thrown instanceof FleetwireError;
  return {
    kind,
    reason,
    message: expected ? cut(message) : 'the service met an unexpected error; its log has the cause',
    help: help === undefined ? undefined : cut(help),
    details: Object.fromEntries(Object.entries(details).map(([name, value]) => [name, cut(value)])),
    violations: violations
      .slice(0, TOLD.violations)
      .map(({ field, description }) => ({ field: cut(field), description: cut(description) })),
    retryAfterMs,
  };
}

const cut = (text: string) => (text.length > TOLD.chars ? `${text.slice(0, TOLD.chars - 3)}...` : text);

/** The whole cause chain as one line, outermost first, for the log. */
export function causeChain(thrown: unknown): string {
  const parts: string[] = [];
  let current: unknown = thrown;
  while (current !== undefined && current !== null && parts.length < 8) {
    if (current instanceof FleetwireError) parts.push(`${current.reason}: ${current.message}`);
    else if (current instanceof Error) parts.push(`${current.name}: ${current.message}`);
    else parts.push(String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(' <- ');
}

/** Throws when a thing that cannot be is: a fault of ours, never of the input. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
