/** How an agent gets to its node: by the token that its program was given, or as an agent of this machine. */

import { readFile } from 'node:fs/promises';
import type { AgentProfile } from '@fleetwire/gen/registry';
import { asFleetwireError, checkName, FleetwireError, foldName } from '@fleetwire/kernel';
import type { CommandContext } from '../command-context.ts';
import { connectNode, type LocalNode, type NodeClient } from '../local-nodes.ts';
import type { Introduced } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';

const CALL = { deadlineMs: MCP_LIMITS.callMs } as const;

/** By the agent's own token. Rejects unauthenticated TOKEN_INVALID, unavailable PEER_UNREACHABLE. */
export function byToken(address: () => Promise<string>, token: string): () => Promise<Introduced> {
  return async () => {
    const at = await address();
    return using(connectNode({ address: at, adminToken: token }), async (node) => {
      const { agent: id, name } = await node.agentToken({}, CALL);
      return { address: at, token, id, name };
    });
  };
}

/**
 * By the token of an agent of any node of this machine, or of the one that is named or was told to this program. Only the node
 * that knew the token can call it invalid while others are away: rejects unavailable NODE_DOWN until they are back.
 */
export function byTokenHere(
  context: Pick<CommandContext, 'config' | 'localNodes' | 'awayNodes'>,
  node: string | undefined,
  introduce = byToken,
): (token: string) => () => Promise<Introduced> {
  return (token) => {
    /** Name of the node that knew it last. */
    let home: string | undefined;
    return async () => {
      if (context.config.ambient.node_address !== undefined)
        return introduce(() => ownAddress(context), token)();
      let fault: unknown;
      const running = await context.localNodes(node);
      for (const { name, address } of running) {
        try {
          const introduced = await introduce(() => Promise.resolve(address), token)();
          home = name;
          return introduced;
        } catch (error) {
          // One that cannot say weighs more than one that does not know it.
          if (fault === undefined || (error as FleetwireError).kind === 'unavailable') fault = error;
        }
      }
      const isAtHome = running.some(({ name }) => name === node || name === home);
      const away = isAtHome ? [] : await context.awayNodes();
      if ((fault as FleetwireError).reason !== 'TOKEN_INVALID' || away.length === 0) throw fault;
      throw cannotSay(away, fault);
    };
  };
}

const cannotSay = (away: readonly string[], cause: unknown) =>
  new FleetwireError(
    'unavailable',
    'NODE_DOWN',
    'the nodes that run do not know this token; others do not run',
    {
      help: `If its agent lives on one of them, start it, or wait until it is back: ${away.join(', ')}`,
      retryAfterMs: 2_000,
      cause,
    },
  );

export interface Named {
  readonly name: string;
  /** Of a node of this machine; undefined: wherever on it the agent lives, else the default one. */
  readonly node: string | undefined;
  /** What a new agent says of itself. */
  readonly profile: AgentProfile | undefined;
}

/** By its name: a mailbox, registered when it is new. Throws INVALID_NAME; rejects FABRIC_DOWN and what else keeps it away. */
export function byName(context: CommandContext, { name, node, profile }: Named): () => Promise<Introduced> {
  checkName(name, 'agent');
  return async () => {
    const nodes = await context.localNodes(node);
    const host = (await hostingNode(nodes, name)) ?? nodes[0]!;
    return using(connectNode(host), async (client) => {
      if (!(await isHere(client, name)))
        await client.runAgent(
          { name, adapter: 'mailbox', ...(profile === undefined ? {} : { profile }) },
          CALL,
        );
      const told = await client.agentToken({ name }, CALL);
      return { address: host.address, token: told.token, id: told.agent, name: told.name };
    });
  };
}

/** Rejects with the fault of a node that could not say: the agent may live there. */
async function hostingNode(nodes: readonly LocalNode[], name: string): Promise<LocalNode | undefined> {
  let fault: FleetwireError | undefined;
  for (const node of nodes) {
    const here = await using(connectNode(node), (client) => isHere(client, name)).catch((error) => {
      fault ??= asFleetwireError(error);
      return false;
    });
    if (here) return node;
  }
  if (fault !== undefined) throw fault;
  return undefined;
}

async function isHere(client: NodeClient, name: string): Promise<boolean> {
  const { agents } = await client.listLocalAgents({}, CALL);
  return agents.some((agent) => foldName(agent.name) === foldName(name));
}

async function using<T>(client: NodeClient, work: (client: NodeClient) => Promise<T>): Promise<T> {
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** Where the node of a program answers: what it wrote at its last start, else as the program was told. */
export async function ownAddress(context: Pick<CommandContext, 'config'>): Promise<string> {
  const { node_address: told, node_file: file } = context.config.ambient;
  const text = file === undefined ? '' : await readFile(file, 'utf8').catch(() => '');
  try {
    const { address } = JSON.parse(text) as { address?: unknown };
    if (typeof address === 'string' && address !== '') return address;
  } catch {
    // Being written, or gone: the address of the start still serves.
  }
  if (told !== undefined) return told;
  throw new FleetwireError('failed_precondition', 'NODE_ADDRESS_MISSING', 'no address of a node is known', {
    help: 'Set FLEETWIRE_NODE_ADDRESS beside FLEETWIRE_AGENT_TOKEN.',
  });
}
