/** The name of this machine, as the name of a node. */

import { hostname } from 'node:os';
import { isName } from '@fleetwire/kernel';

const NAME_CHARS = 50;

/** The host name up to its first dot, in letters, digits and hyphens; `prefix` stands before it. At most 50 characters. */
export function hostName(prefix = ''): string {
  const plain = `${prefix}${hostname()
    .split('.')[0]!
    .replace(/[^a-zA-Z0-9-]/g, '-')}`.slice(0, NAME_CHARS);
  return isName(plain) ? plain : 'node';
}
