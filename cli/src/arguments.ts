/** Parsers for option values; what does not fit is refused with the range that does. */

import { FleetwireError, printable } from '@fleetwire/kernel';

export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_OPTION',
      `${option} "${printable(text)}" is not usable`,
      {
        help: `Give a whole number from ${min} to ${max}.`,
      },
    );
  };
}

export function oneOf(option: string, allowed: readonly string[]): (text: string) => string {
  return (text) => {
    if (allowed.includes(text)) return text;
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_OPTION',
      `${option} "${printable(text)}" is not usable`,
      {
        help: `Give one of: ${allowed.join(', ')}.`,
      },
    );
  };
}
