/** What every command gets: configuration, output, and the connections it asks for, closed when it ends. */

import { checkName, FleetwireError, foldName, printable } from '@fleetwire/kernel';
import { type ActingOrg, actingOrg } from './acting-org.ts';
import { chosenContext } from './chosen-context.ts';
import { type CliConfig, loadCliConfig } from './config.ts';
import { type Context, checkContextName, DEFAULT_CONTEXT, loadContext } from './context.ts';
import { fabricProcess, hasFabric } from './fabric/fabric-record.ts';
import { hostOf } from './hosting-node.ts';
import { connectHub, connectOrg, type Hub, type OrgClient } from './hub.ts';
import { connectNode, HUB_NODE, type LocalNode, type NodeClient, OPERATOR } from './local-nodes.ts';
import { helpWithoutHub } from './node-machine.ts';
import { NodesOfOrg } from './nodes-of-org.ts';
import { operatorToken } from './operator.ts';
import { createOutput, type Output } from './output.ts';

/** Milliseconds for the answer to a call that waits for something, on top of that. */
export const ANSWER_MS = 10_000;

/** Without what the transport says of it. */
export function notAnswering({ details, message }: FleetwireError): string {
  const { service, address } = details;
  return service === undefined || address === undefined
    ? message
    : `${service.split('.').at(-1)} does not answer at ${address}`;
}

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
  #closesHub = false;
  /** The command named the hub that it asks. */
  #namedHub = false;
  #org: Promise<ActingOrg | undefined> | undefined;

  constructor(
    options: GlobalOptions,
    config: CliConfig = loadCliConfig(),
    output: Output = createOutput(options.json === true),
  ) {
    this.options = options;
    this.output = output;
    this.config = config;
    checkContextName(this.contextName);
  }

  /** The one that is named, else the one that was chosen with `org use`. */
  get contextName(): string {
    return this.#meant ?? DEFAULT_CONTEXT;
  }

  get #meant(): string | undefined {
    return this.named ?? chosenContext(this.config.folders.config);
  }

  /** For commands that act on the fabric of this machine, whose context `up` writes, whatever org was chosen. */
  ofFabric(): CommandContext {
    const options = { ...this.options, context: this.named ?? DEFAULT_CONTEXT };
    const context = new CommandContext(options, this.config, this.output);
    this.#closing.push(() => context.close());
    return context;
  }

  /** By the option or the environment. */
  get named(): string | undefined {
    return this.options.context ?? this.config.ambient.context;
  }

  context(): Promise<Context> {
    return loadContext(this.config.folders.config, this.contextName);
  }

  /** The org that commands for nodes and agents of this machine act in; asked once. As `actingOrg`. */
  org(): Promise<ActingOrg | undefined> {
    this.#org ??= actingOrg({
      configFolder: this.config.folders.config,
      contextName: this.contextName,
      isMeant: this.#meant !== undefined,
      apiKey: this.config.ambient.api_key,
    });
    return this.#org;
  }

  async hub(): Promise<Hub> {
    if (this.#hub === undefined) {
      this.#hub = connectHub(await this.context(), this.config.ambient.api_key);
      if (!this.#closesHub) this.#closing.push(() => this.renewHub());
      this.#closesHub = true;
    }
    return this.#hub;
  }

  /** From here on with a token that is made anew. */
  renewHub(): void {
    this.#hub?.close();
    this.#hub = undefined;
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

  /** The named node of this machine, or the default one, of the org in use. As `NodesOfOrg.find`. */
  async node(name: string | undefined): Promise<NodeClient> {
    return this.#open(await (await this.#nodes()).find(name));
  }

  /** The named node of this machine; else all that run, the default one first. As `NodesOfOrg.find`. */
  async localNodes(name: string | undefined): Promise<readonly LocalNode[]> {
    const nodes = await this.#nodes();
    if (name !== undefined) return [await nodes.find(name)];
    const running = await nodes.running();
    if (running.length === 1) return running;
    const first = await nodes.find(undefined);
    return [first, ...running.filter((node) => node.name !== first.name)];
  }

  /** Names of the nodes of this machine, of the org in use, that do not run. */
  async awayNodes(): Promise<readonly string[]> {
    return (await this.#nodes()).away();
  }

  /** A node of this machine that can say what it knows of the org; within an agent's program the agent's own. */
  async anyNode(): Promise<NodeClient> {
    const own = this.#ownNode;
    if (own !== undefined) return this.#open(own);
    const running = await (await this.#nodes()).running();
    return this.#open(running.find((node) => node.name === HUB_NODE) ?? running[0]!);
  }

  /** Of the org in use, those of this machine that run; none is no error. */
  async runningNodes(): Promise<{ readonly name: string; readonly node: NodeClient }[]> {
    if (this.#ownNode !== undefined) return [];
    const nodes = await (await this.#nodes()).running().catch(() => []);
    return nodes.map((found) => ({ name: found.name, node: this.#open(found) }));
  }

  /** The same, on a machine without a hub: nodes join at `hub`, with the token when they have not joined before. */
  joiningAt(hub: string, joinToken: string | undefined): CommandContext {
    this.#namedHub = true;
    const token = joinToken === undefined ? {} : { join_token: joinToken };
    const ambient = { ...this.config.ambient, hub, ...token };
    const context = new CommandContext(this.options, { ...this.config, ambient }, this.output);
    this.#closing.push(() => context.close());
    return context;
  }

  /** An agent's own program was put on this machine by whoever runs it; which context they chose is nothing to it. */
  async #nodes(): Promise<NodesOfOrg> {
    return new NodesOfOrg(
      this.config.folders.data,
      this.#ownNode === undefined ? await this.org() : undefined,
    );
  }

  /** The node of the agent in whose program this runs; undefined: for people. */
  get #ownNode(): { readonly address: string; readonly adminToken: string } | undefined {
    const { node_address: address, agent_token: adminToken } = this.config.ambient;
    return address === undefined || adminToken === undefined ? undefined : { address, adminToken };
  }

  /**
   * Within an agent's program: that agent. For people: `--from`, wherever on this machine it lives, else the operator
   * on the hub; always within the org in use. Throws AGENT_NOT_LOCAL, NOT_THIS_AGENT, FABRIC_DOWN, NODE_DOWN,
   * INVALID_NAME, OTHER_ORG, NO_OPERATOR_MAILBOX.
   */
  async acting(from: string | undefined, nodeName: string | undefined): Promise<Acting> {
    const own = this.#ownNode;
    if (own !== undefined) {
      this.checkOwnName(from);
      return { node: this.#open(own), agent: '' };
    }
    if (from !== undefined && foldName(from) !== OPERATOR)
      return { node: await this.#nodeHosting(from, nodeName), agent: from };
    const nodes = await this.#nodes();
    const node = await (nodeName === undefined ? nodes.hub() : nodes.find(nodeName));
    return { node: this.#open(node), agent: OPERATOR };
  }

  /** Within an agent's program: throws permission_denied NOT_THIS_AGENT for the name of another one. */
  checkOwnName(name: string | undefined): void {
    const { agent } = this.config.ambient;
    if (name === undefined || (agent !== undefined && foldName(name) === foldName(agent))) return;
    throw new FleetwireError(
      'permission_denied',
      'NOT_THIS_AGENT',
      `this program is ${agent ?? 'another agent'}, not ${printable(name)}`,
      { help: 'Leave the name out: an agent acts in its own name.' },
    );
  }

  async #nodeHosting(agent: string, nodeName: string | undefined): Promise<NodeClient> {
    checkName(agent, 'agent');
    const local = await this.#nodes();
    const nodes = nodeName === undefined ? await local.running() : [await local.find(nodeName)];
    return hostOf(
      agent,
      nodes.map((node) => this.#open(node)),
    );
  }

  #open(node: { readonly address: string; readonly adminToken: string }): NodeClient {
    const client = connectNode(node);
    this.#closing.push(() => client.close());
    return client;
  }

  /** Says plainly who does not answer, and that no fabric runs here, where the error tells of connections and ports. */
  async explain(thrown: unknown): Promise<unknown> {
    const { ambient, folders } = this.config;
    if (!(thrown instanceof FleetwireError && thrown.reason === 'PEER_UNREACHABLE'))
      return helpWithoutHub(thrown, folders);
    const elsewhere = this.#namedHub || ambient.node_address !== undefined || ambient.hub !== undefined;
    const ended = fabricProcess(folders.data) === undefined && (await hasFabric(folders.data));
    const help =
      ended && !elsewhere ? 'No fabric runs on this machine; start it with: fleetwire up' : thrown.help;
    const { details } = thrown;
    return new FleetwireError('unavailable', 'PEER_UNREACHABLE', notAnswering(thrown), {
      ...(help === undefined ? {} : { help }),
      details,
      cause: thrown,
    });
  }

  close(): void {
    for (const close of this.#closing.splice(0)) close();
  }
}
