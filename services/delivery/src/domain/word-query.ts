/** What a person asks for, as a tsquery: words that must all be there, "a phrase", -not, or. */

import { FleetwireError } from '@fleetwire/kernel';
import { orgWord, wordsOf } from './words.ts';

const CHARS_MAX = 500;
const TERMS_MAX = 32;
const TERM = /(-?)(?:"([^"]*)"?|([^\s"]+))/gu;

/**
 * A term of several words ("main.ts", a quoted text) asks for these one behind the other. Throws INVALID_SEARCH when it is
 * too long, or when nothing says what is looked for.
 */
export function wordQuery(org: string, text: string): string {
  if (text.length > CHARS_MAX) throw invalid(`it is longer than ${CHARS_MAX} characters`);
  const branches: string[][] = [[]];
  let terms = 0;
  for (const [whole, not, quoted, plain] of text.matchAll(TERM)) {
    if (whole.toLowerCase() === 'or') {
      branches.push([]);
      continue;
    }
    const words = wordsOf(quoted ?? plain ?? '');
    if (words.length === 0) continue;
    if (++terms > TERMS_MAX) throw invalid(`it has more than ${TERMS_MAX} terms`);
    branches.at(-1)!.push(`${not === '-' ? '!' : ''}${phrase(words)}`);
  }
  const given = branches.filter((branch) => branch.length > 0);
  if (given.length === 0) throw invalid('there is no word in it');
  if (given.some((branch) => branch.every((term) => term.startsWith('!'))))
    throw invalid('it says only what must not be there');
  return `'${orgWord(org)}' & (${given.map((branch) => `(${branch.join(' & ')})`).join(' | ')})`;
}

/** Words are letters and digits: nothing in them has to be escaped. */
function phrase(words: readonly string[]): string {
  return `(${words.map((word) => `'${word}'`).join(' <-> ')})`;
}

function invalid(why: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_SEARCH', `this cannot be searched for: ${why}`, {
    help: 'Give words that the message has; "in quotes" for words in this order, -word for one that it must not have.',
  });
}
