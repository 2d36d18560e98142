/** Waiting until a node of the org has come to some state. */

import type { Node } from '@fleetwire/gen/registry';
import { FleetwireError, pause, printable } from '@fleetwire/kernel';
import type { CommandContext } from './command-context.ts';
import { allNodes } from './fleet.ts';

interface Wanted {
  /** Id. */
  readonly node: string;
  readonly name: string;
  readonly timeoutMs: number;
  /** Undefined: it is there. Else what is missing, in words. */
  missing(node: Node): string | undefined;
  /** Of the error when that takes too long. */
  readonly reason: string;
  readonly help: string;
}

/** Says on the way what is missing. Rejects deadline_exceeded with `reason`, not_found NODE_GONE. */
export async function awaitNode(context: CommandContext, wanted: Wanted): Promise<Node> {
  const until = performance.now() + wanted.timeoutMs;
  let told: string | undefined;
  for (;;) {
    const node = (await allNodes(await context.hub())).find(({ id }) => id === wanted.node);
    if (node === undefined)
      throw new FleetwireError('not_found', 'NODE_GONE', `${printable(wanted.name)} was removed meanwhile`);
    const missing = wanted.missing(node);
    if (missing === undefined) return node;
    if (missing !== told) context.output.progress(`waiting: ${missing}`);
    told = missing;
    if (performance.now() >= until)
      throw new FleetwireError('deadline_exceeded', wanted.reason, missing, { help: wanted.help });
    await pause(context.config.watch.interval_ms);
  }
}
