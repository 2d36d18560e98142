/** A small fabric for the service tests: a real nats-server, the streams, routers in this process or of their own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { Writable } from 'node:stream';
import type { Broker } from '@fleetwire/broker';
import { connectBroker } from '@fleetwire/broker';
import { childEnvironment } from '@fleetwire/config';
import { ingressSubject, ROUTES_BUCKET, routeKey } from '@fleetwire/contract';
import type { Envelope } from '@fleetwire/gen/message';
import { ChannelRoute, InboxPack, Envelope as Mail, NodeRoute, Route } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { bootstrapFabric } from '@fleetwire/runtime';
import type { TempFolder, TestNats } from '@fleetwire/testkit';
import { startTestNats, tempFolder } from '@fleetwire/testkit';
import { start } from '../src/service.ts';
import { packOf, route } from './samples.ts';

export interface FabricOptions {
  readonly partitions: number;
  readonly inboxBound?: number;
}

/** One inbox entry as it stands in the stream. */
export interface Arrived {
  readonly subject: string;
  readonly id: string;
  readonly router: string;
  readonly recipients: readonly string[];
}

export class Fabric implements AsyncDisposable {
  readonly nats: TestNats;
  readonly broker: Broker;
  readonly #keys: TempFolder;
  readonly #running: RunningService[] = [];
  readonly #children: ChildProcess[] = [];
  /** Last lines of the routers' logs. */
  readonly log: string[] = [];
  #published = 0;

  private constructor(nats: TestNats, broker: Broker, keys: TempFolder) {
    this.nats = nats;
    this.broker = broker;
    this.#keys = keys;
  }

  static async start(o: FabricOptions): Promise<Fabric> {
    const nats = await startTestNats();
    const keys = tempFolder('keys');
    await ensureKeys(keys.path, { orgSlug: 'test', services: ['router', 'org', 'registry'] });
    const broker = await connectBroker({ urls: [nats.url], name: 'test', waitMs: 5000 });
    const sizing = { inbox_max_msgs_per_subject: o.inboxBound ?? 100_000 };
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: o.partitions, sizing });
    return new Fabric(nats, broker, keys);
  }

  #env(instance: string): Record<string, string> {
    return {
      FLEETWIRE_NATS_URL: this.nats.url,
      FLEETWIRE_NATS_SINGLE_TENANT: 'true',
      FLEETWIRE_KEYS_DIR: this.#keys.path,
      FLEETWIRE_INSTANCE: instance,
      FLEETWIRE_LOG_LEVEL: 'info',
      FLEETWIRE_ROUTER_SHARE_INTERVAL_MS: '200',
    };
  }

  /** A router in this process. */
  async router(instance: string, env: Record<string, string> = {}): Promise<RunningService> {
    const keep = (line: string) => this.#keep(line);
    const logStream = new Writable({
      write(chunk, _encoding, done) {
        keep(String(chunk));
        done();
      },
    });
    const running = await start({ env: { ...this.#env(instance), ...env }, logStream });
    this.#running.push(running);
    return running;
  }

  /** A router as a process of its own, which can be killed. */
  spawnRouter(instance: string): ChildProcess {
    const main = new URL('../src/main.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [main], {
      env: childEnvironment(this.#env(instance)),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => this.#keep(String(text)));
    this.#children.push(child);
    return child;
  }

  #keep(text: string): void {
    this.log.push(text);
    if (this.log.length > 400) this.log.shift();
  }

  async agent(name: string, over: Partial<Route> = {}): Promise<string> {
    const entry = route(name, over);
    const { agent, node, nodeName, epoch } = entry;
    const whole = { ...over, agent, name, node, nodeName, epoch, shard: 0 };
    const value = Route.encode(Route.fromPartial(whole)).finish();
    const bucket = await this.broker.bucket(ROUTES_BUCKET);
    await bucket.put(routeKey(entry.org, agent), value);
    return entry.subject;
  }

  async node(node: NodeRoute): Promise<void> {
    const bucket = await this.broker.bucket(ROUTES_BUCKET);
    await bucket.put(routeKey(route('x').org, node.node), NodeRoute.encode(node).finish());
  }

  /** With these members, by their names. */
  async channel(name: string, members: readonly string[], group = false): Promise<void> {
    const bucket = await this.broker.bucket(ROUTES_BUCKET);
    const channel = `c_${name}`;
    const ids = members.map((member) => route(member).agent);
    const value = ChannelRoute.encode({ channel, name, epoch: 1, group, members: ids }).finish();
    await bucket.put(routeKey(route('x').org, channel), value);
  }

  /** As a node does: one pack with its own dedupe id, repeated until it is known to be stored. */
  async send(partition: number, node: string, mail: readonly Partial<Envelope>[]): Promise<number> {
    return this.sendBytes(partition, node, packOf(mail.map((m) => ({ fromNode: node, ...m }))));
  }

  async sendBytes(partition: number, node: string, payload: Uint8Array): Promise<number> {
    const subject = ingressSubject.build({ partition, org: route('x').org, node });
    const msgId = `test-${this.#published++}`;
    for (;;) {
      try {
        return (await this.broker.store(subject, payload, { msgId })).sequence;
      } catch (error) {
        if ((error as { kind?: string }).kind !== 'unavailable') throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** What the inbox stream holds, in its order. */
  async inbox(): Promise<readonly Arrived[]> {
    const messages = await this.stream('INBOX');
    for (; this.#decoded < messages.length; this.#decoded++) {
      const { subject, data } = messages[this.#decoded]!;
      for (const { envelope, router, recipients } of InboxPack.decode(data).entries) {
        this.#arrived.push({ subject, id: Mail.decode(envelope).id, router, recipients });
      }
    }
    return this.#arrived;
  }
  #decoded = 0;
  readonly #arrived: Arrived[] = [];

  /** All messages that a stream has now, read anew each time only beyond what was read before. */
  async stream(
    name: 'INBOX' | 'RECEIPTS' | 'DEAD',
  ): Promise<readonly { subject: string; data: Uint8Array }[]> {
    const seen = this.#seen[name];
    const { lastSequence } = (await this.broker.streams.state(name))!;
    while (seen.length < lastSequence) {
      const message = await this.broker.messages.get(name, seen.length + 1);
      if (message === undefined) return seen;
      seen.push({ subject: message.subject, data: message.data });
    }
    return seen;
  }
  readonly #seen = {
    INBOX: [] as { subject: string; data: Uint8Array }[],
    RECEIPTS: [] as { subject: string; data: Uint8Array }[],
    DEAD: [] as { subject: string; data: Uint8Array }[],
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running.map((running) => running.stop()));
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
    }
    await this.broker.close();
    await this.nats[Symbol.asyncDispose]();
    await this.#keys[Symbol.asyncDispose]();
  }
}
