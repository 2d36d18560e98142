/** What every command gets: configuration, output, and the connections it asks for, closed when it ends. */

import {
  asFleetwireError,
  FleetwireError,
  foldName,
  isName,
  nearestNames,
  printable,
} from '@fleetwire/kernel';
import { chosenContext } from './chosen-context.ts';
import { type CliConfig, loadCliConfig } from './config.ts';
import { type Context, checkContextName, DEFAULT_CONTEXT, loadContext } from './context.ts';
import { fabricProcess } from './fabric/fabric-record.ts';
import { connectHub, connectOrg, type Hub, type OrgClient } from './hub.ts';
import {
  connectNode,
  fabricDown,
  findLocalNode,
  hubNode,
  type NodeClient,
  OPERATOR,
  runningNodes,
} from './local-nodes.ts';
import { operatorToken } from './operator.ts';
import { createOutput, type Output } from './output.ts';

const LOOK_MS = 3000;

/** Milliseconds for the answer to a call that waits for something, on top of that. */
export const ANSWER_MS = 10_000;

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
    checkContextName(this.contextName);
  }

  /** The one that is named, else the one that was chosen with `org use`. */
  get contextName(): string {
    return this.#named ?? chosenContext(this.config.folders.config) ?? DEFAULT_CONTEXT;
  }

  /** The context of this machine's own fabric, which `up` writes: it has nothing to do with which org was chosen. */
  get fabricContextName(): string {
    return this.#named ?? DEFAULT_CONTEXT;
  }

  /** This context for commands that act on the fabric of this machine, whatever org was chosen. */
  ofFabric(): CommandContext {
    const context = new CommandContext({ ...this.options, context: this.fabricContextName });
    this.#closing.push(() => context.close());
    return context;
  }

  get #named(): string | undefined {
    return this.options.context ?? this.config.ambient.context;
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

  /** The org service and the org to ask it for: with `named` (id or slug) as the operator of the fabric, else as oneself. */
  async orgDoor(named?: string): Promise<{ readonly door: OrgClient; readonly org: string }> {
    if (named === undefined) return { door: (await this.hub()).org, org: '' };
    return { door: await this.operator(), org: named };
  }

  /** The org service as the operator of the fabric. Rejects OPERATOR_KEY_MISSING. */
  async operator(): Promise<OrgClient> {
    const token = await operatorToken(this.config);
    const door = connectOrg((await this.context()).endpoints.org, () => token);
    this.#closing.push(() => door.close());
    return door;
  }

  /** The named node of this machine, or the default one. */
  async node(name: string | undefined): Promise<NodeClient> {
    return this.#open(await findLocalNode(this.config.folders.data, name));
  }

  /**
   * Within an agent's program: that agent. For people: `--from`, wherever on this machine it lives, else the operator
   * on the hub. Throws AGENT_NOT_LOCAL, NOT_THIS_AGENT, FABRIC_DOWN, NODE_DOWN, INVALID_NAME.
   */
  async acting(from: string | undefined, nodeName: string | undefined): Promise<Acting> {
    const { node_address, agent_token, agent } = this.config.ambient;
    if (node_address !== undefined && agent_token !== undefined) {
      if (from !== undefined && (agent === undefined || foldName(from) !== foldName(agent)))
        throw new FleetwireError(
          'permission_denied',
          'NOT_THIS_AGENT',
          `this program is ${agent ?? 'another agent'}, not ${printable(from)}`,
          { help: 'Leave the name out: an agent acts in its own name.' },
        );
      return { node: this.#open({ address: node_address, adminToken: agent_token }), agent: '' };
    }
    const { data } = this.config.folders;
    if (from !== undefined && foldName(from) !== OPERATOR)
      return { node: await this.#nodeHosting(from, nodeName), agent: from };
    const node = nodeName === undefined ? await hubNode(data) : await findLocalNode(data, nodeName);
    return { node: this.#open(node), agent: OPERATOR };
  }

  async #nodeHosting(agent: string, nodeName: string | undefined): Promise<NodeClient> {
    if (!isName(agent))
      throw new FleetwireError(
        'invalid_argument',
        'INVALID_NAME',
        `"${printable(agent)}" is no agent's name`,
        {
          help: 'Use 1 to 50 letters, digits and hyphens.',
        },
      );
    const { data } = this.config.folders;
    const nodes = nodeName === undefined ? await runningNodes(data) : [await findLocalNode(data, nodeName)];
    if (nodes.length === 0) throw fabricDown([]);
    const names: string[] = [];
    let fault: unknown;
    for (const candidate of nodes) {
      const client = this.#open(candidate);
      const { agents } = await client.listLocalAgents({}, { deadlineMs: LOOK_MS }).catch((error: unknown) => {
        fault ??= error;
        return { agents: [] };
      });
      if (agents.some((a) => foldName(a.name) === foldName(agent))) return client;
      names.push(...agents.map((a) => a.name));
    }
    // It may live on the one that could not say.
    if (fault !== undefined) throw fault;
    const near = nearestNames(agent, names);
    throw new FleetwireError(
      'not_found',
      'AGENT_NOT_LOCAL',
      `no node that runs on this machine hosts an agent "${agent}"`,
      {
        help:
          near.length > 0
            ? `Did you mean ${near.join(' or ')}?`
            : 'One can act for agents of this machine only; see: fleetwire agent list',
        details: { suggestions: near.join(',') },
      },
    );
  }

  #open(node: { readonly address: string; readonly adminToken: string }): NodeClient {
    const client = connectNode(node);
    this.#closing.push(() => client.close());
    return client;
  }

  /** Says plainly that the fabric does not run where the error only tells of a port that nobody answers on. */
  explain(thrown: unknown): unknown {
    const { ambient, folders } = this.config;
    const unreachable = thrown instanceof FleetwireError && thrown.reason === 'PEER_UNREACHABLE';
    const elsewhere = ambient.node_address !== undefined || ambient.hub !== undefined;
    if (!unreachable || elsewhere || fabricProcess(folders.data) !== undefined) return thrown;
    const { message, details } = asFleetwireError(thrown);
    return new FleetwireError('unavailable', 'PEER_UNREACHABLE', message, {
      help: 'No fabric runs on this machine; start it with: fleetwire up',
      details,
      cause: thrown,
    });
  }

  close(): void {
    for (const close of this.#closing.splice(0)) close();
  }
}
