/** The line between a process in the background and the command that started it: one word, ready or failed. */

import type { ChildProcess } from 'node:child_process';
import type { ErrorDocument } from '../output.ts';

export type StarterWord = { readonly ready: true } | { readonly error: ErrorDocument };

/** Says how the start went; does nothing when nobody waits for it. */
export async function tellStarter(word: StarterWord): Promise<void> {
  if (process.send === undefined || !process.connected) return;
  await new Promise<void>((resolve) => void process.send!(word, undefined, {}, () => resolve()));
  process.disconnect();
}

/** The word of a child; undefined when it ended without one. */
export function wordOf(child: ChildProcess): Promise<StarterWord | undefined> {
  return new Promise((resolve) => {
    child.once('message', (word) => resolve(word as StarterWord));
    child.once('exit', () => resolve(undefined));
    child.once('error', () => resolve(undefined));
  });
}
