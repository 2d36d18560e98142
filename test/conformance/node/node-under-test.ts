/** The node that is driven: the command that the environment names, or ours; and the door by which programs use it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NodeServiceDefinition, type NodeStatusResponse } from '@fleetwire/gen/node';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { Peer } from '../wire/rpc.ts';
import { JOIN_TOKEN, type Known, type StandHub } from './stand-hub.ts';

const OURS = [
  process.execPath,
  fileURLToPath(new URL('../../../services/node/src/main.ts', import.meta.url)),
];
const START_MS = 30_000;

/** `CONFORMANCE_NODE`: a command line without quotes. It gets FLEETWIRE_NODE_NAME, _DATA_DIR, _REGISTRY and _JOIN_TOKEN. */
function command(): string[] {
  const given = process.env['CONFORMANCE_NODE'];
  return given === undefined ? OURS : given.split(' ').filter((word) => word !== '');
}

export class NodeUnderTest implements AsyncDisposable {
  readonly hub: StandHub;
  readonly name: string;
  readonly #folder: TempFolder;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #door: Peer<typeof NodeServiceDefinition> | undefined;

  constructor(hub: StandHub, name: string) {
    this.hub = hub;
    this.name = name;
    this.#folder = tempFolder(`conformance-${name}`);
  }

  get dir(): string {
    return this.#folder.path;
  }

  start(): this {
    const [program, ...args] = command();
    const child = spawn(program!, args, {
      env: {
        PATH: process.env['PATH'],
        HOME: this.dir,
        FLEETWIRE_LOG_LEVEL: process.env['CONFORMANCE_LOG'] ?? 'silent',
        FLEETWIRE_NODE_NAME: this.name,
        FLEETWIRE_NODE_DATA_DIR: this.dir,
        FLEETWIRE_NODE_REGISTRY: this.hub.address,
        FLEETWIRE_NODE_JOIN_TOKEN: JOIN_TOKEN,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    return this;
  }

  /** Started, joined, and heard of. */
  async active(): Promise<this> {
    if (this.#child === undefined) this.start();
    const before = this.hub.nodes.size === 0 ? 0 : this.#beatsSoFar();
    try {
      await eventually(() => this.#beatsSoFar() > before, { timeoutMs: START_MS });
      await this.door();
    } catch (error) {
      // Nobody has it in hand yet who would end it.
      await this[Symbol.asyncDispose]();
      throw error;
    }
    return this;
  }

  #beatsSoFar(): number {
    return [...this.hub.nodes.values()].find(({ name }) => name === this.name)?.beats.length ?? 0;
  }

  /** As the hub knows it. */
  get known(): Known {
    return this.hub.node(this.name);
  }

  /** Of programs and people on its machine: where `node.json` in its folder says, with the token of `admin-token`. */
  async door(): Promise<Peer<typeof NodeServiceDefinition>['calls']> {
    if (this.#door === undefined) {
      const file = join(this.dir, 'node.json');
      const running = () =>
        existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).pid === this.#child?.pid;
      await eventually(running, { timeoutMs: START_MS });
      this.#door = new Peer(NodeServiceDefinition, JSON.parse(readFileSync(file, 'utf8')).address);
    }
    return this.#door.calls;
  }

  get auth(): { token: string } {
    return { token: readFileSync(join(this.dir, 'admin-token'), 'utf8').trim() };
  }

  async status(): Promise<NodeStatusResponse> {
    return (await this.door()).nodeStatus({}, this.auth);
  }

  /** A mailbox; gives its agent's id. */
  async host(name: string): Promise<string> {
    const request = { name, adapter: 'mailbox', command: [], cwd: '', env: {} };
    const { agent } = await (await this.door()).runAgent(request, this.auth);
    return agent!.id;
  }

  async send(from: string, to: string, text: string): Promise<string> {
    const message = {
      ref: 0,
      id: '',
      to,
      body: new TextEncoder().encode(text),
      contentType: '',
      correlationId: '',
    };
    const rest = {
      replyTo: '',
      ttlMs: 0,
      traceparent: '',
      priority: 0 as const,
      answerWithinMs: 0,
      cancels: '',
    };
    const sent = await (await this.door()).send({ from, message: { ...message, ...rest } }, this.auth);
    return sent.id;
  }

  /** Takes what waits for an agent. */
  async read(agent: string): Promise<string[]> {
    const { deliveries } = await (await this.door()).readInbox(
      { agent, limit: 500, waitMs: 0, peek: false, replyTo: '' },
      this.auth,
    );
    return deliveries.map(({ body }) => Buffer.from(body).toString());
  }

  /** Ended as a service manager ends it. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#door?.close();
    this.#door = undefined;
    const child = this.#child;
    this.#child = undefined;
    child?.kill(signal);
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
    await this.#folder[Symbol.asyncDispose]();
  }
}
