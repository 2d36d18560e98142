/** Names of the levels of priority. */

import { Priority } from '@fleetwire/gen/message';
import { FleetwireError, printable } from '@fleetwire/kernel';

/** `system` is for those who run the fabric: an agent by its own token is refused it. */
export type PriorityName = 'low' | 'normal' | 'high' | 'system';

const LEVELS: Readonly<Record<PriorityName, Priority>> = {
  low: Priority.LOW,
  normal: Priority.NORMAL,
  high: Priority.HIGH,
  system: Priority.SYSTEM,
};
const NAMES = Object.keys(LEVELS) as readonly PriorityName[];

/** Throws `invalid_argument` INVALID_MESSAGE; nothing given is nothing said, which is as normal. */
export function priorityOf(name: unknown): Priority {
  if (name === undefined) return Priority.UNSPECIFIED;
  const known = NAMES.find((one) => one === name);
  if (known !== undefined) return LEVELS[known];
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_MESSAGE',
    `priority "${printable(String(name))}" is none`,
    {
      help: `Use one of: ${NAMES.join(', ')}.`,
      details: { field: 'priority' },
    },
  );
}

/** What is not known to this version, or was not said, is normal. */
export function priorityName(priority: Priority): PriorityName {
  return NAMES.find((name) => LEVELS[name] === priority) ?? 'normal';
}
