/** What names and free text may hold. */

import type { FieldViolation } from './errors.ts';

/** One printable line: everything but control characters and broken surrogates comes back as it went in. */
export function lineViolation(field: string, value: string, max: number): FieldViolation | undefined {
  if (value.trim() === '') return { field, description: 'must not be empty' };
  if (value.length > max) return { field, description: `must have at most ${max} characters` };
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(value))
    return { field, description: 'must be one line without control characters' };
  return undefined;
}

/** Any text, also of several lines; only NUL and broken surrogates cannot be kept. */
export function textViolation(field: string, value: string, max: number): FieldViolation | undefined {
  if (value.length > max) return { field, description: `must have at most ${max} characters` };
  if (/[\0\p{Cs}]/u.test(value)) return { field, description: 'must not hold NUL or broken characters' };
  return undefined;
}
