/** A yes from a person, before what cannot be undone. */

import { createInterface } from 'node:readline/promises';
import { FleetwireError } from '@fleetwire/kernel';
import type { CommandContext } from './command-context.ts';

/** Rejects invalid_argument CONFIRMATION_MISSING where nobody can be asked, `cancelled` NOT_CONFIRMED without a yes. */
export async function confirm(
  { output }: CommandContext,
  yes: boolean | undefined,
  question: string,
): Promise<void> {
  if (yes === true) return;
  if (output.json || !process.stdin.isTTY || !process.stderr.isTTY)
    throw new FleetwireError('invalid_argument', 'CONFIRMATION_MISSING', `${question}: nobody said yes`, {
      help: 'This cannot be undone. If it is meant, repeat it with --yes',
    });
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await asking.question(`${question}? This cannot be undone. [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    asking.close();
  }
  throw new FleetwireError('cancelled', 'NOT_CONFIRMED', 'nothing was changed');
}
