/** What a look at a pane and at its terminal proves. */

import { evidenceOf } from './harmless.ts';
import type { Proof } from './port.ts';
import type { Standing } from './tmux-screen.ts';
import type { ReadingMode } from './tmux-text.ts';
import { CANONICAL_LINE_BYTES, type TtyState } from './tmux-tty.ts';

export const unproven = (reason: string, detail: string): Proof => ({ kind: 'unproven', reason, detail });
export const pending = (reason: string, detail: string): Proof => ({
  kind: 'unproven',
  reason,
  detail,
  pending: true,
});

/** Where it cannot be told who edits lines, one line is right for every program. */
export function readingMode(tty: TtyState | undefined): ReadingMode {
  if (tty !== undefined && !tty.canonical) return { kind: 'raw' };
  return { kind: 'line', lineBytes: CANONICAL_LINE_BYTES };
}

/** What was read and does not show was swallowed: the program reads, and there is nothing to wait for. */
export function verdict(found: Standing, tty: TtyState | undefined): Proof {
  const unread = tty === undefined ? '' : `; ${tty.unread} bytes typed and not read`;
  if (found.where === 'absent') {
    const detail = `the marker does not show in the pane${unread}`;
    return tty?.unread === 0 ? unproven('NOT_TAKEN_UP', detail) : pending('NOT_TAKEN_UP', detail);
  }
  const line = evidenceOf(found.line);
  const confirmed = (evidence: string): Proof => ({ kind: 'confirmed', evidence, matched: line });
  if (found.where === 'input') return pending('NOT_SUBMITTED', `still in the input line: ${line}`);
  if (tty === undefined) return confirmed(evidenceOf(`(by the screen alone) ${found.line}`));
  if (tty.unread > 0) return pending('NOT_TAKEN_UP', `the program is not reading${unread}: ${line}`);
  return confirmed(line);
}
