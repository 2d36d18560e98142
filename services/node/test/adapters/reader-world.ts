// A world whose programs come to the node themselves: by a session that acknowledges, or by reading their mailbox.

import { Envelope } from '@fleetwire/gen/message';
import { AttachHello, type Delivery } from '@fleetwire/gen/node';
import { pause } from '@fleetwire/kernel';
import { Outflow } from '../../src/mail/outflow.ts';
import { StreamSession } from '../../src/mail/stream-session.ts';
import {
  addAgent,
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  testEngine,
} from '../engine-fixture.ts';
import type { AgentName, Told, World } from './world.ts';

const NAMES = ['bob', 'carol'] as const;

interface Reader {
  /** Takes up nothing after it has resolved. */
  pause(): Promise<void>;
  resume(): void;
  /** Killed: what it was given and has not acknowledged is lost with it. */
  die(): Promise<void>;
}

type StartReader = (test: TestEngine, name: AgentName, take: (delivery: Delivery) => void) => Promise<Reader>;

/** `confirming`: a reader of a mailbox that looks first and confirms what it has passed on, as MCP's door does. */
export async function readerWorld(kind: 'stream' | 'mailbox' | 'confirming'): Promise<World> {
  const test = await testEngine();
  for (const name of NAMES) await addAgent(test.engine, name, kind === 'stream' ? 'stream' : 'mailbox');
  const world = new ReaderWorld(test, kind === 'stream' ? startSession : startMailbox(kind === 'confirming'));
  for (const name of NAMES) await world.revive(name);
  return world;
}

class ReaderWorld implements World {
  readonly #start: StartReader;
  readonly #readers = new Map<AgentName, Reader>();
  readonly #taken: Record<AgentName, unknown[]> = { bob: [], carol: [] };
  #test: TestEngine;

  constructor(test: TestEngine, start: StartReader) {
    this.#test = test;
    this.#start = start;
  }

  async send(to: AgentName, ...bodies: (string | Uint8Array)[]): Promise<string[]> {
    const agent = this.#test.engine.book.named(to);
    const ids: string[] = [];
    for (const text of bodies) {
      const body = typeof text === 'string' ? new TextEncoder().encode(text) : text;
      const entry = entryFor(agent.id, this.#test.clock, { body });
      await hold(this.#test, agent, entry);
      ids.push(Envelope.decode(entry.envelope).id);
    }
    return ids;
  }

  told(id: string): Told[] {
    const all = receiptsFor(this.#test.engine, OTHER_NODE);
    return all
      .filter((r) => r.messageId === id && r.final)
      .map(({ stage, reason }) => [stage, reason] as const);
  }

  taken(agent: AgentName): readonly unknown[] {
    return this.#taken[agent];
  }

  depth(agent: AgentName): number {
    const { queue } = this.#test.engine.book.named(agent);
    return queue.waiting.length + queue.attempted.size;
  }

  pause(agent: AgentName): Promise<void> {
    return this.#readers.get(agent)!.pause();
  }

  async resume(agent: AgentName): Promise<void> {
    this.#readers.get(agent)!.resume();
  }

  async die(agent: AgentName): Promise<void> {
    await this.#readers.get(agent)!.die();
    this.#readers.delete(agent);
  }

  async revive(agent: AgentName): Promise<void> {
    const take = ({ body }: Delivery) => this.#taken[agent].push(textOf(body));
    this.#readers.set(agent, await this.#start(this.#test, agent, take));
  }

  /** Connections end with the node; their programs come again. */
  async crash(): Promise<void> {
    const before = [...this.#readers.values()];
    this.#test = await this.#test.crash();
    for (const reader of before) await reader.die().catch(() => undefined);
    for (const name of NAMES) await this.revive(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const reader of this.#readers.values()) await reader.die();
    await this.#test.close();
  }
}

function textOf(body: Uint8Array): unknown {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return { base64: Buffer.from(body).toString('base64') };
  }
}

/** A window of one, as programs have that take one message at a time. */
const startSession: StartReader = async (test, name, take) => {
  const { engine, clock } = test;
  const { custody, tables, turns } = engine;
  const outflow = new Outflow();
  const hello = AttachHello.fromPartial({ name, window: 1 });
  const parts = { agent: engine.book.named(name), number: 1, hello, windowBytes: 4e6, clock, custody };
  const session = new StreamSession({ ...parts, agents: tables.agents, turns, outflow });
  await turns.run(() => session.begin());
  let going = Promise.withResolvers<void>();
  going.resolve();
  let dead = false;
  const reading = (async () => {
    for await (const { deliver } of outflow.responses())
      for (const delivery of deliver?.deliveries ?? []) {
        await going.promise;
        if (dead) return;
        take(delivery);
        await turns.run(() => session.acknowledge({ upTo: delivery.sequence, also: [] }));
      }
  })();
  return {
    pause: async () => {
      going = Promise.withResolvers();
    },
    resume: () => going.resolve(),
    die: async () => {
      dead = true;
      outflow.end();
      going.resolve();
      await reading;
      await turns.run(() => session.end());
    },
  };
};

const startMailbox =
  (confirming: boolean): StartReader =>
  async ({ engine }, name, take) => {
    const agent = engine.book.named(name);
    const options = { limit: 10, waitMs: 5000, peek: confirming, replyTo: '', holdMs: confirming ? 5000 : 0 };
    let stop = new AbortController();
    let reading: Promise<void> = Promise.resolve();
    const read = async () => {
      while (!stop.signal.aborted) {
        const { deliveries } = await engine.mailbox.read(
          agent,
          { ...options, confirm: [], hold: [], renewMs: 0 },
          stop.signal,
        );
        for (const delivery of deliveries) take(delivery);
        const confirm = deliveries.map(({ id }) => id);
        if (confirming && confirm.length > 0)
          await engine.mailbox.read(agent, { ...options, confirm, hold: [], renewMs: 0 }, stop.signal);
        if (deliveries.length === 0) await pause(1, stop.signal);
      }
    };
    const halt = async () => {
      stop.abort();
      await reading;
    };
    const resume = () => {
      stop = new AbortController();
      reading = read();
    };
    resume();
    return { pause: halt, resume, die: halt };
  };
