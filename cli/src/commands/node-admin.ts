/** node drain | rotate-key | remove | adopt: what admins do to nodes of the org, wherever these run. */

import type { Node } from '@fleetwire/gen/registry';
import { FleetwireError, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { duration } from '../arguments.ts';
import { awaitNode } from '../await-node.ts';
import type { CommandContext } from '../command-context.ts';
import { confirm } from '../confirmation.ts';
import { checkNode, findNode } from '../fleet.ts';
import { nodeDocument } from '../fleet-documents.ts';
import { counted } from '../output.ts';

const TIMEOUT = [
  '--timeout <time>',
  'with --wait: at most this long; 10m when left out',
  duration('--timeout', '1s', '7d'),
] as const;
const TIMEOUT_MS = 600_000;

export function addNodeAdminCommands(node: Command, action: Action): void {
  node
    .command('drain')
    .description('let a node take no new agents and no work by capability, for example before an update')
    .argument('<node>', 'by name or id')
    .option('--undo', 'back to work')
    .option('--wait', 'until no agent lives there any more')
    .option(...TIMEOUT)
    .action(action(drain));
  node
    .command('rotate-key')
    .description('have a node make another key; the old one ends a while after')
    .argument('<node>', 'by name or id')
    .option('--wait', 'until the node has done it')
    .option(...TIMEOUT)
    .action(action(rotateKey));
  node
    .command('adopt')
    .description('make a node your own, for example one whose owner has left the org')
    .argument('<node>', 'by name or id')
    .action(action(adopt));
  addRemoveCommand(node, action);
}

/** Under `node` and under `cluster`. */
export function addRemoveCommand(group: Command, action: Action): void {
  group
    .command('remove')
    .description(
      'shut a node out for good, at once, with all agents on it; mail that waits for them at the hub goes back',
    )
    .argument('<node>', 'by name or id')
    .option('--yes', 'without being asked')
    .action(action(remove));
}

interface WaitOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
}

async function drain(
  context: CommandContext,
  options: WaitOptions & { undo?: boolean },
  given: string,
): Promise<void> {
  const undo = options.undo === true;
  if (undo && options.wait === true)
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_USAGE',
      'there is nothing to wait for with --undo',
      {
        help: 'Leave --wait out.',
      },
    );
  const { node } = await (await context.hub()).registry.drainNode({ node: checkNode(given), undo });
  const shown = options.wait === true ? await drained(context, node!, options.timeout) : node!;
  context.output.result({ node: nodeDocument(shown) }, () => {
    if (undo) return `${shown.name} takes agents again`;
    const left = shown.agents === 0 ? 'no agent lives there' : `${counted(shown.agents, 'agent')} on it`;
    return `${shown.name} takes no new agents; ${left}`;
  });
}

const drained = (context: CommandContext, { id, name }: Node, timeoutMs = TIMEOUT_MS) =>
  awaitNode(context, {
    node: id,
    name,
    timeoutMs,
    missing: ({ agents, moving }) => {
      if (agents > 0) return `${counted(agents, 'agent')} on ${printable(name)}`;
      return moving > 0 ? `mail of ${counted(moving, 'agent')} is on its way` : undefined;
    },
    reason: 'NOT_DRAINED_YET',
    help: `It goes on draining. See who is left with: fleetwire agent list --node ${name}; agent move takes them elsewhere.`,
  });

async function rotateKey(context: CommandContext, options: WaitOptions, given: string): Promise<void> {
  const { node } = await (await context.hub()).registry.requestKeyRotation({ node: checkNode(given) });
  const shown = options.wait === true ? await rotated(context, node!, options.timeout) : node!;
  context.output.result({ node: nodeDocument(shown) }, () =>
    shown.rotating
      ? `${shown.name} is asked for another key${shown.status === 'offline' ? '; it does so when it is back' : ''}`
      : `${shown.name} has another key`,
  );
}

const rotated = (context: CommandContext, { id, name }: Node, timeoutMs = TIMEOUT_MS) =>
  awaitNode(context, {
    node: id,
    name,
    timeoutMs,
    missing: ({ rotating, status }) =>
      rotating ? `${printable(name)} (${status}) has not made another key yet` : undefined,
    reason: 'NOT_ROTATED_YET',
    help: 'It stays asked for, and is done once the node is there.',
  });

async function adopt(context: CommandContext, _options: object, given: string): Promise<void> {
  const { node } = await (await context.hub()).registry.adoptNode({ node: checkNode(given) });
  context.output.result({ node: nodeDocument(node!) }, () => `${node!.name} is yours (${node!.status})`);
}

async function remove(context: CommandContext, options: { yes?: boolean }, given: string): Promise<void> {
  const hub = await context.hub();
  const node = await findNode(hub, checkNode(given));
  await confirm(
    context,
    options.yes,
    `remove ${printable(node.name)} and ${counted(node.agents, 'agent')} on it`,
  );
  const { agents } = await hub.registry.removeNode({ node: node.id });
  context.output.result({ node: node.id, name: node.name, removed: true, agents }, () => [
    `${printable(node.name)} is removed for good, with ${counted(agents, 'agent')}`,
    'a machine comes in again under a new identity: without its folder, with a new join token',
  ]);
}
