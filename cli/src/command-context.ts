/** What every command gets: configuration, output, and the connections it asks for, closed when it ends. */

import { FleetwireError } from '@fleetwire/kernel';
import { type CliConfig, loadCliConfig } from './config.ts';
import { type Context, DEFAULT_CONTEXT, loadContext } from './context.ts';
import { connectHub, type Hub } from './hub.ts';
import { connectNode, findLocalNode, listLocalNodes, type NodeClient, OPERATOR } from './local-nodes.ts';
import { createOutput, type Output } from './output.ts';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly context?: string;
}

/** Whom a command acts for: an agent's own program by its token, or a person by a node's admin token. */
export interface Acting {
  readonly node: NodeClient;
  /** Empty: the agent that the token stands for. */
  readonly agent: string;
}

export class CommandContext {
  readonly output: Output;
  readonly config: CliConfig;
  readonly options: GlobalOptions;
  readonly #closing: (() => void)[] = [];
  #hub: Hub | undefined;

  constructor(options: GlobalOptions) {
    this.options = options;
    this.output = createOutput(options.json === true);
    this.config = loadCliConfig();
  }

  get contextName(): string {
    return this.options.context ?? this.config.ambient.context ?? DEFAULT_CONTEXT;
  }

  context(): Promise<Context> {
    return loadContext(this.config.folders.config, this.contextName);
  }

  async hub(): Promise<Hub> {
    if (this.#hub === undefined) {
      this.#hub = connectHub(await this.context(), this.config.ambient.api_key);
      this.#closing.push(this.#hub.close);
    }
    return this.#hub;
  }

  /** The named node of this machine, or the default one. */
  async node(name: string | undefined): Promise<NodeClient> {
    const client = connectNode(await findLocalNode(this.config.folders.data, name));
    this.#closing.push(() => client.close());
    return client;
  }

  /**
   * Within an agent's program: that agent. For people: `--from`, wherever on this machine it lives, else the operator
   * on the chosen node. Throws AGENT_NOT_LOCAL, NOT_THIS_AGENT.
   */
  async acting(from: string | undefined, nodeName: string | undefined): Promise<Acting> {
    const { node_address, agent_token, agent } = this.config.ambient;
    if (node_address !== undefined && agent_token !== undefined) {
      if (from !== undefined && from !== agent)
        throw new FleetwireError(
          'permission_denied',
          'NOT_THIS_AGENT',
          `this program is ${agent}, not ${from}`,
          {
            help: 'Leave out --from: an agent acts in its own name.',
          },
        );
      const client = connectNode({ address: node_address, adminToken: agent_token });
      this.#closing.push(() => client.close());
      return { node: client, agent: '' };
    }
    if (from === undefined || from === OPERATOR) return { node: await this.node(nodeName), agent: OPERATOR };
    return { node: await this.#nodeHosting(from, nodeName), agent: from };
  }

  async #nodeHosting(agent: string, nodeName: string | undefined): Promise<NodeClient> {
    const nodes = await listLocalNodes(this.config.folders.data);
    const candidates = nodeName === undefined ? nodes : nodes.filter((n) => n.name === nodeName);
    for (const candidate of candidates) {
      const client = connectNode(candidate);
      this.#closing.push(() => client.close());
      const listed = await client.listLocalAgents({}).catch(() => ({ agents: [] }));
      if (listed.agents.some((a) => a.name.toLowerCase() === agent.toLowerCase())) return client;
    }
    throw new FleetwireError(
      'not_found',
      'AGENT_NOT_LOCAL',
      `no node on this machine hosts an agent "${agent}"`,
      {
        help: 'See `fleetwire agent list`; a message can be sent in the name of an agent of this machine only.',
      },
    );
  }

  close(): void {
    for (const close of this.#closing.splice(0)) close();
  }
}
