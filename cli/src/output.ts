/** What a command says: one JSON document with stable fields, or lines for people; errors on stderr with what to do. */

import { ERROR_TABLE } from '@fleetwire/contract';
import { asFleetwireError, type FieldViolation, FleetwireError, printable } from '@fleetwire/kernel';

type Lines = string | readonly string[];

export interface Output {
  readonly json: boolean;
  /** The result of the command: `document` with --json, else the lines that `people` gives. Once per command. */
  result(document: object, people: () => Lines): void;
  /** A part of a result that goes on for as long as somebody looks: a line of JSON with --json, else the lines. */
  part(document: object, people: () => Lines): void;
  /** Progress for people, on stderr, so that results can be piped; silent with --json. */
  progress(line: string): void;
}

export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

export const processStreams: Streams = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

/** An error of a command that has something to show besides: with --json both are in the one document. */
export class FailedResult extends Error {
  override readonly name = 'FailedResult';
  override readonly cause: FleetwireError;
  readonly document: object;
  readonly lines: Lines;

  constructor(cause: FleetwireError, document: object, lines: Lines) {
    super(cause.message);
    this.cause = cause;
    this.document = document;
    this.lines = lines;
  }
}

export function createOutput(json: boolean, streams: Streams = processStreams): Output {
  return {
    json,
    result(document, people) {
      if (json) streams.out(jsonText(document));
      else streams.out(linesText(people()));
    },
    part(document, people) {
      if (json) streams.out(`${JSON.stringify(document)}\n`);
      else streams.out(linesText(people()));
    },
    progress(line) {
      if (!json) streams.err(`${line}\n`);
    },
  };
}

const jsonText = (document: object) => `${JSON.stringify(document, null, 2)}\n`;

function linesText(lines: Lines): string {
  const text = typeof lines === 'string' ? lines : lines.join('\n');
  return text === '' ? '' : `${text}\n`;
}

/** An error as it stands in documents: every field is always there. */
export interface ErrorDocument {
  readonly kind: FleetwireError['kind'];
  readonly reason: string;
  readonly message: string;
  /** What to do; may be empty. */
  readonly help: string;
  readonly details: Readonly<Record<string, string>>;
  /** Null: waiting does not help, or nobody knows how long. */
  readonly retry_after_ms: number | null;
  /** Fields of the request that do not fit. */
  readonly violations: readonly FieldViolation[];
}

export function errorDocument(thrown: unknown): ErrorDocument {
  const error = asFleetwireError(thrown instanceof FailedResult ? thrown.cause : thrown);
  const { kind, reason, message, help = '', details, retryAfterMs = null, violations } = error;
  return { kind, reason, message, help, details, retry_after_ms: retryAfterMs, violations };
}

/** The error that a document tells of. */
export function errorOfDocument(document: ErrorDocument): FleetwireError {
  const { kind, reason, message, help, details, violations } = document;
  return new FleetwireError(kind, reason, message, {
    details,
    violations,
    ...(help === '' ? {} : { help }),
    ...(document.retry_after_ms === null ? {} : { retryAfterMs: document.retry_after_ms }),
  });
}

/** Prints an error (with --json also as the one document on stdout) and gives the exit code of its kind. */
export function reportError(thrown: unknown, json: boolean, streams: Streams = processStreams): number {
  const error = errorDocument(thrown);
  if (json) streams.out(jsonText({ ...(thrown instanceof FailedResult ? thrown.document : {}), error }));
  else if (thrown instanceof FailedResult) streams.out(linesText(thrown.lines));
  const violations = error.violations.map(({ field, description }) => `${field} ${description}`);
  streams.err(`fleetwire: ${error.message} (${error.reason})\n`);
  for (const violation of violations) streams.err(`  ${visible(violation)}\n`);
  if (error.help !== '' && error.help !== violations.join('; ')) streams.err(`  ${error.help}\n`);
  return ERROR_TABLE[error.kind].exit;
}

/** Text of others made harmless for a terminal, in full length. */
export function visible(text: string): string {
  return text.replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}

/** Columns as wide as their widest cell; the last one is left ragged. Cells are made harmless for a terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const safe = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = head.map((h, i) => Math.max(h.length, ...safe.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  ');
  return [line(head), ...safe.map(line)].map((text) => text.trimEnd());
}

/** A moment as it stands in documents; null for 0, which means none. */
export const isoOrNull = (atMs: number): string | null => (atMs === 0 ? null : new Date(atMs).toISOString());

/** A moment for people, to the minute in UTC; `-` for 0. */
export const minute = (atMs: number): string =>
  atMs === 0 ? '-' : `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')}Z`;

/** `1 agent`, `2 agents`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** `3s ago`, `2m ago`; `never` for 0. */
export function ago(atMs: number, nowMs: number = Date.now()): string {
  if (atMs === 0) return 'never';
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 120) return `${seconds}s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h ago`;
  return `${Math.round(seconds / 86_400)}d ago`;
}
