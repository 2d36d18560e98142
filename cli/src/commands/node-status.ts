/** node status: the nodes of this machine, as they see themselves. */

import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { shownNodeNames } from '../local-nodes.ts';
import { type LocalStatus, localStatus, statusDetail, statusNotes } from '../local-status.ts';
import { nodeMissing } from '../nodes-of-org.ts';
import { table } from '../output.ts';

export function addNodeStatusCommand(node: Command, action: Action): void {
  node
    .command('status')
    .description('how the nodes of this machine are, also while the hub is away')
    .argument('[name]', 'only this one')
    .action(action(status));
}

async function status(context: CommandContext, _options: object, name: string | undefined): Promise<void> {
  const { data } = context.config.folders;
  const known = await shownNodeNames(data);
  if (name !== undefined && !known.includes(name)) throw nodeMissing(name, known);
  const names = name === undefined ? known : [name];
  const found = await Promise.all(names.map((each) => localStatus(data, each)));
  context.output.result({ nodes: found.map(statusDocument) }, () =>
    found.length === 0
      ? 'no node was ever started on this machine; start one with: fleetwire node start'
      : [
          ...table(
            ['NODE', 'HUB', 'PROTOCOL', 'ADDRESS', ''],
            found.map((s) => [s.name, s.state, String(s.told?.protocol || '-'), s.address, statusDetail(s)]),
          ),
          ...found.flatMap(statusNotes),
        ],
  );
}

/** What a node that does not answer would say is null. */
function statusDocument({ name, state, address, pid, told }: LocalStatus): object {
  return {
    name,
    state,
    address,
    pid: pid ?? null,
    node: told?.node ?? null,
    node_name: told?.name ?? null,
    org: told?.org ?? null,
    version: told?.version ?? null,
    protocol: told?.protocol ?? null,
    agents: told?.agents ?? null,
    outbox: told?.outboxDepth ?? null,
    inbox: told?.inboxDepth ?? null,
    receipts: told?.receiptsWaiting ?? null,
    draining: told?.draining ?? null,
    contender: told?.contender ?? null,
    held_back: told?.heldBack ?? null,
    hub_error: told?.hubError ?? null,
  };
}
