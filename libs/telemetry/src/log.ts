/** JSON log lines with trace ids and without secrets. */

import { causeChain, FleetwireError } from '@fleetwire/kernel';
import { type DestinationStream, type Logger, pino } from 'pino';
import { currentTraceparent, traceIdOf } from './traceparent.ts';

export type { DestinationStream, Logger } from 'pino';

const SECRET_FIELDS = [
  'token',
  'api_key',
  'apiKey',
  'jwt',
  'seed',
  'authorization',
  'password',
  'secret',
  'join_token',
  'agent_token',
];

/** Wherever in a line they stand. */
const SECRET_TEXT = new RegExp(
  [
    // API keys and join tokens, JWTs, NKEY seeds.
    String.raw`\bfw[kj]_[\w-]{8,}`,
    String.raw`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`,
    String.raw`\bS[UAONC][A-Z2-7]{56}\b`,
    // Passwords in URLs, bearer tokens.
    String.raw`(?<=:\/\/[^\s:/@"]{0,64}:)[^\s@"/]+(?=@)`,
    String.raw`(?<=[Bb]earer )[\w.~+/-]{8,}=*`,
  ].join('|'),
  'g',
);

export interface LogOptions {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** trace, debug, info, warn, error or silent. */
  readonly level: string;
  /** Standard output unless given. */
  readonly stream?: DestinationStream | undefined;
}

/** Lines carry service, instance, version, time (ISO 8601, UTC) and, within a trace, `trace_id`. */
export function createLog(options: LogOptions): Logger {
  const { service, instance, version, level } = options;
  return pino(
    {
      level,
      base: { service, instance, version },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
      serializers: { err: errorFields, error: errorFields },
      hooks: { streamWrite: redacted },
      mixin() {
        const traceparent = currentTraceparent();
        return traceparent === '' ? {} : { trace_id: traceIdOf(traceparent) };
      },
    },
    options.stream ?? standardOutput(),
  );
}

/** Replaces what looks like a secret. */
export function redacted(text: string): string {
  return text.replace(SECRET_TEXT, '[redacted]');
}

function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const known = error instanceof FleetwireError ? { kind: error.kind, reason: error.reason } : {};
  return { ...known, message: error.message, cause: causeChain(error.cause), stack: error.stack };
}

let output: DestinationStream | undefined;

/** One for all loggers of a process; a reader that has gone away must not end the service. */
function standardOutput(): DestinationStream {
  if (!output) {
    const destination = pino.destination({ fd: 1, sync: true });
    destination.on('error', () => undefined);
    output = destination;
  }
  return output;
}
