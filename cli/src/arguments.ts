/** Parsers for option values; what does not fit is refused with the range that does. */

import { FleetwireError, printable } from '@fleetwire/kernel';

/** What the person gave for `option` does not do. */
export const unusable = (option: string, text: string, help: string): FleetwireError =>
  new FleetwireError('invalid_argument', 'INVALID_OPTION', `${option} "${printable(text)}" is not usable`, {
    help,
  });

export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw unusable(option, text, `Give a whole number from ${min} to ${max}.`);
  };
}

/** `none` is -1. */
export function numberOrNone(option: string, max: number): (text: string) => number {
  return (text) => {
    if (text === 'none') return -1;
    const value = Number(text);
    if (/^\d+$/.test(text) && value <= max) return value;
    throw unusable(option, text, `Give a whole number up to ${max}, or none for no limit.`);
  };
}

export function oneOf(option: string, allowed: readonly string[]): (text: string) => string {
  return (text) => {
    if (allowed.includes(text)) return text;
    throw unusable(option, text, `Give one of: ${allowed.join(', ')}.`);
  };
}

/** One of two words, the first of which is true. */
export function either(option: string, yes: string, no: string): (text: string) => boolean {
  const parse = oneOf(option, [yes, no]);
  return (text) => parse(text) === yes;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SPAN = /^(\d{1,6})([smhd])$/;

function spanMs(text: string): number | undefined {
  const [, count, unit] = SPAN.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * UNIT_MS[unit!]!;
}

/** `90s`, `15m`, `2h` or `30d`, as milliseconds. `min` and `max` are written the same way. */
export function duration(option: string, min: string, max: string): (text: string) => number {
  return (text) => {
    const value = spanMs(text);
    if (value !== undefined && value >= spanMs(min)! && value <= spanMs(max)!) return value;
    throw unusable(option, text, `Give a time like 15m, 2h or 30d, from ${min} to ${max}.`);
  };
}

const DATE = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2})?)?$/;

/** A date or time (ISO 8601; a date alone begins in UTC), or how long ago, like `2h`: milliseconds since the epoch. */
export function moment(option: string, nowMs: () => number = Date.now): (text: string) => number {
  return (text) => {
    const ago = spanMs(text);
    if (ago !== undefined) return nowMs() - ago;
    const value = DATE.test(text) ? Date.parse(text) : Number.NaN;
    if (value >= 0) return value;
    throw unusable(option, text, 'Give a time like 2026-01-31T12:00Z, or how long ago, like 2h or 7d.');
  };
}

/** Words between commas; an option that is given again adds to them. */
export function words(text: string, before: readonly string[] = []): readonly string[] {
  const more = text.split(',').map((word) => word.trim());
  return [...before, ...more.filter((word) => word !== '')];
}

/** As `words`; `none` alone, or nothing between quotes, is an empty list. */
export function wordsOrNone(text: string, before: readonly string[] = []): readonly string[] {
  return text === 'none' ? before : words(text, before);
}
