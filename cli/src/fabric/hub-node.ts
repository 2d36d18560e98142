/** The hub's own node, with the operator's mailbox on it; another machine on the same servers may have been first with either. */

import { makePrivateFolder } from '@fleetwire/embedded';
import { asFleetwireError, FleetwireError, printable } from '@fleetwire/kernel';
import { start as startNode } from '@fleetwire/node';
import type { RunningService } from '@fleetwire/runtime';
import type { CliConfig } from '../config.ts';
import type { Context } from '../context.ts';
import { hostName } from '../host-name.ts';
import { connectNode, HUB_NODE, nodeFolder, OPERATOR, readNode } from '../local-nodes.ts';
import { joiningOf } from './join.ts';
import type { KeptService } from './keep-service.ts';
import type { LogFile } from './log-file.ts';

export interface HubNodeStart {
  readonly config: CliConfig;
  /** host:port */
  readonly listen: string;
  readonly logStream: LogFile;
  readonly report: (line: string) => void;
  readonly keep: (start: () => Promise<RunningService>) => Promise<KeptService>;
}

/** Its folder is `hub` on every machine. Errors: those of the node and the org service. */
export async function startHubNode(o: HubNodeStart, context: Context): Promise<KeptService> {
  const dir = nodeFolder(o.config.folders.data, HUB_NODE);
  makePrivateFolder(dir);
  const joining = await joiningOf(dir, context);
  const started = await firstFreeName(HUB_NODE, hostName(`${HUB_NODE}-`), async (name) => {
    const overrides = { rpc: { listen: o.listen }, node: { name, data_dir: dir, ...joining } };
    return o.keep(() => startNode({ overrides, logStream: o.logStream }));
  });
  if (started.name !== HUB_NODE)
    o.report(
      `another machine of the org has a node "${HUB_NODE}"; the one of this machine is ${started.name}`,
    );
  await openMailbox(o, dir);
  return started.value;
}

/** A registry that names a taken suggestion over and over is not followed for ever. */
const NAMES = 5;

/**
 * What `start` gives for the first name that no other machine has: `name`, then `other`, then what the registry suggests.
 * A node that has joined keeps its name, so it is asked for at the first start only. Rejects with the last refusal.
 */
export async function firstFreeName<T>(
  name: string,
  other: string,
  start: (name: string) => Promise<T>,
): Promise<{ readonly name: string; readonly value: T }> {
  let next = name;
  for (let tried = 1; ; tried++) {
    try {
      return { name: next, value: await start(next) };
    } catch (thrown) {
      const error = asFleetwireError(thrown);
      const suggestion = next === name ? other : error.details['suggestion'];
      if (error.reason !== 'NODE_NAME_TAKEN' || suggestion === undefined || tried >= NAMES) throw thrown;
      next = suggestion;
    }
  }
}

/** The mailbox is the org's, not the machine's: where another hub has it, people act for agents of their own here. */
async function openMailbox({ report }: HubNodeStart, dir: string): Promise<void> {
  const client = connectNode((await readNode(dir))!);
  try {
    await client.runAgent({ name: OPERATOR, adapter: 'mailbox', command: [], cwd: '', env: {} });
  } catch (error) {
    if (!(error instanceof FleetwireError && error.reason === 'NAME_TAKEN')) throw error;
    const at = printable(error.details['held_by_node_name'] ?? 'another node');
    report(`the operator's mailbox is on ${at}; on this machine send with --from AGENT`);
  } finally {
    client.close();
  }
}
