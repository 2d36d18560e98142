/** What names, addresses and free text may hold; violations are collected, so that all can be mended at once. */

import { type FieldViolation, FleetwireError, printable } from '@fleetwire/kernel';

export const TEXT_LIMITS = { nameChars: 100, noteChars: 1000, urlChars: 500, emailChars: 254 } as const;

/** One of a few known words; what is left out is not looked at. */
export function unlessIn(
  field: string,
  value: string | undefined,
  known: readonly string[],
): FieldViolation | undefined {
  if (value === undefined || known.includes(value)) return undefined;
  return { field, description: `must be one of ${known.join(', ')}` };
}

/** Throws invalid_argument `reason` with all violations; nothing when there are none. */
export function refuseViolations(reason: string, violations: readonly (FieldViolation | undefined)[]): void {
  const found = violations.filter((violation) => violation !== undefined);
  if (found.length === 0) return;
  const first = found[0]!;
  throw new FleetwireError('invalid_argument', reason, `${first.field} ${first.description}`, {
    help: found.map(({ field, description }) => `${field} ${description}`).join('; '),
    violations: found,
  });
}

/** An address as people write them; throws INVALID_EMAIL. Whether it exists only a letter can tell. */
export function checkEmail(email: string): string {
  const [local, domain, ...rest] = email.split('@');
  const fits =
    email.length <= TEXT_LIMITS.emailChars &&
    rest.length === 0 &&
    /^[^\s\p{C}"(),:;<>[\]\\]{1,64}$/u.test(local ?? '') &&
    /^(?!-)[\p{L}\p{N}-]{1,63}(\.(?!-)[\p{L}\p{N}-]{1,63})*$/u.test(domain ?? '');
  if (fits) return email;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_EMAIL',
    `"${printable(email)}" is not an e-mail address`,
    {
      help: 'Write it like alice@example.org.',
      violations: [{ field: 'email', description: 'must be an e-mail address' }],
    },
  );
}

/** How addresses are compared: without regard to case. */
export const foldEmail = (email: string): string => email.normalize('NFC').toLowerCase();
