/** A node for tests: in this process, or as a process of its own that can be killed; and a client of its door. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnvironment } from '@fleetwire/config';
import {
  AttachHello,
  type AttachRequest,
  type AttachResponse,
  type Delivery,
  NodeServiceDefinition,
  type Outgoing,
} from '@fleetwire/gen/node';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import type { RunningService } from '@fleetwire/runtime';
import { eventually, type TempFolder, tempFolder } from '@fleetwire/testkit';
import { start } from '../src/service.ts';
import { outgoing } from './engine-fixture.ts';
import type { FakeHub } from './fake-hub.ts';

export type NodeClient = RpcClient<typeof NodeServiceDefinition>;

/** Settings of one test, as in FLEETWIRE_NODE_*, lower case. */
export type NodeSettings = Readonly<Record<string, string>>;

function environment(hub: FakeHub, dir: string, name: string, more: NodeSettings): Record<string, string> {
  const settings = { data_dir: dir, name, registry: hub.registry, join_token: 'join-me', ...more };
  const env: Record<string, string> = { FLEETWIRE_LOG_LEVEL: process.env['NODE_TEST_LOG'] ?? 'silent' };
  for (const [key, value] of Object.entries(settings)) env[`FLEETWIRE_NODE_${key.toUpperCase()}`] = value;
  return env;
}

export class TestNode {
  readonly hub: FakeHub;
  readonly name: string;
  readonly folder: TempFolder;
  readonly settings: NodeSettings;
  #service: RunningService | undefined;
  #child: ChildProcess | undefined;
  #clients: NodeClient[] = [];

  constructor(hub: FakeHub, name: string, settings: NodeSettings = {}) {
    this.hub = hub;
    this.name = name;
    this.settings = settings;
    this.folder = tempFolder(`node-${name}`);
  }

  async start(more: NodeSettings = {}): Promise<this> {
    const env = environment(this.hub, this.folder.path, this.name, { ...this.settings, ...more });
    this.#service = await start({ env });
    return this;
  }

  /** As a process of its own. */
  async spawn(more: NodeSettings = {}): Promise<this> {
    const env = environment(this.hub, this.folder.path, this.name, { ...this.settings, ...more });
    const main = new URL('../src/main.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [main], {
      env: childEnvironment(env),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    await eventually(() => this.#file().pid === child.pid, { timeoutMs: 20_000 });
    return this;
  }

  /** SIGKILL, as a crash would; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child!;
    this.#child = undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.#clients = [];
    await this.#service?.stop();
    this.#service = undefined;
    if (this.#child !== undefined) await this.kill();
  }

  async dispose(): Promise<void> {
    await this.stop();
    await this.folder[Symbol.asyncDispose]();
  }

  get id(): string {
    return this.#file().node;
  }

  client(token = readFileSync(join(this.folder.path, 'admin-token'), 'utf8').trim()): NodeClient {
    const client = createRpcClient(NodeServiceDefinition, {
      address: this.#file().address,
      token: () => token,
      deadlineMs: 20_000,
    });
    this.#clients.push(client);
    return client;
  }

  async active(): Promise<this> {
    const client = this.client();
    await eventually(async () => (await client.nodeStatus({})).hub === 'active');
    return this;
  }

  #file(): { address: string; pid: number; node: string } {
    return JSON.parse(readFileSync(join(this.folder.path, 'node.json'), 'utf8'));
  }
}

/** One Attach stream, with what came in by it. */
export class TestSession {
  readonly deliveries: Delivery[] = [];
  readonly accepted = new Map<number, string>();
  readonly refused = new Map<number, string>();
  readonly responses: AttachResponse[] = [];
  goodbye = '';
  ended = false;
  error: unknown;
  acking = true;
  #queue: AttachRequest[] = [];
  #wake: () => void = () => {};
  #closed = false;
  #ref = 0;

  static async open(client: NodeClient, hello: Partial<AttachHello>, acking = true): Promise<TestSession> {
    const session = new TestSession();
    session.acking = acking;
    session.#push({ hello: AttachHello.fromPartial(hello) });
    void session.#follow(client);
    await eventually(
      () =>
        session.error !== undefined || session.responses.some((response) => response.welcome !== undefined),
    );
    if (session.error !== undefined) throw session.error;
    return session;
  }

  /** Sends messages as one batch; gives their refs. */
  send(to: string, texts: readonly string[], more: Partial<Outgoing> = {}): number[] {
    return this.sendAll(texts.map((text) => outgoing(to, text, more)));
  }

  /** The same for messages to several. */
  sendAll(batch: readonly Outgoing[]): number[] {
    const messages = batch.map((message) => ({ ...message, ref: ++this.#ref }));
    this.#push({ send: { messages } });
    return messages.map((message) => message.ref);
  }

  ack(upTo: number, also: number[] = []): void {
    this.#push({ ack: { upTo, also } });
  }

  texts(): string[] {
    return this.deliveries.map((delivery) => Buffer.from(delivery.body).toString());
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  #push(request: AttachRequest): void {
    this.#queue.push(request);
    this.#wake();
  }

  async *#requests(): AsyncGenerator<AttachRequest> {
    for (;;) {
      while (this.#queue.length > 0) yield this.#queue.shift()!;
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #follow(client: NodeClient): Promise<void> {
    try {
      for await (const response of client.attach(this.#requests())) this.#take(response);
    } catch (error) {
      this.error = error;
    }
    this.ended = true;
  }

  #take(response: AttachResponse): void {
    this.responses.push(response);
    for (const { ref, id } of response.accepted?.accepted ?? []) this.accepted.set(ref, id);
    if (response.refused !== undefined) this.refused.set(response.refused.ref, response.refused.reason);
    if (response.goodbye !== undefined) this.goodbye = response.goodbye.reason;
    const { deliveries = [] } = response.deliver ?? {};
    this.deliveries.push(...deliveries);
    if (this.acking && deliveries.length > 0) this.ack(deliveries.at(-1)!.sequence);
  }
}
