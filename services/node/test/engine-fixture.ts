/** An engine over a real database file, with a clock that the test turns and a taker that only remembers. */

import { loadConfig } from '@fleetwire/config';
import { Envelope, type InboxEntry, type Receipt, ReceiptBatch } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { FleetwireError, newMessageId } from '@fleetwire/kernel';
import { silentTracer } from '@fleetwire/telemetry';
import { silentLog, tempFolder } from '@fleetwire/testkit';
import type { HostedAgent, Taker } from '../src/agents/hosted-agent.ts';
import { type NodeConfig, nodeSection } from '../src/config.ts';
import type { Entry } from '../src/domain/queue.ts';
import { createEngine, type Engine, loadEngine } from '../src/engine.ts';
import { NodeClock } from '../src/hub/node-clock.ts';
import type { ReadOptions } from '../src/mail/mailbox.ts';
import type { AdapterKind } from '../src/store/agent-table.ts';
import { openDatabase } from '../src/store/database.ts';

export const NODE = 'n_0000000000000001';
export const OTHER_NODE = 'n_0000000000000002';
export const ORG = 'o_0000000000000001';

export class TestClock extends NodeClock {
  /** Microseconds of the broker's time. */
  ahead = 0;
  /** Milliseconds of the monotonic clock. */
  later = 0;
  override nowUs(): number {
    return super.nowUs() + this.ahead;
  }
  override monotonicMs(): number {
    return super.monotonicMs() + this.later;
  }
}

export interface TestEngine {
  readonly engine: Engine;
  readonly clock: TestClock;
  readonly broken: FleetwireError[];
  /** As a crash would: what is not committed is gone; then opened again. */
  crash(): Promise<TestEngine>;
  close(): Promise<void>;
}

/** `prepare` may put a database of its own into the folder. */
export async function testEngine(
  overrides: Partial<NodeConfig> = {},
  prepare: (dir: string) => void = () => undefined,
): Promise<TestEngine> {
  const folder = tempFolder('node');
  prepare(folder.path);
  return open(folder.path, overrides, async () => folder[Symbol.asyncDispose]());
}

async function open(
  dir: string,
  overrides: Partial<NodeConfig>,
  remove: () => Promise<void>,
): Promise<TestEngine> {
  const config = loadConfig({ node: nodeSection }, { env: {}, overrides: { node: overrides } }).node;
  const clock = new TestClock();
  const db = openDatabase(dir, 'normal');
  const broken: FleetwireError[] = [];
  const engine = createEngine({
    db,
    config,
    identity: { node: NODE, org: ORG, name: 'here' },
    clock,
    tracer: silentTracer,
    log: silentLog,
    broken: (error) => broken.push(error),
  });
  await loadEngine(engine);
  return {
    engine,
    clock,
    broken,
    crash: () => {
      db.close();
      return open(dir, overrides, remove);
    },
    close: async () => {
      if (db.isOpen) db.close();
      await remove();
    },
  };
}

export async function addAgent(
  engine: Engine,
  name: string,
  adapter: AdapterKind = 'stream',
): Promise<HostedAgent> {
  const id = `a_${name.padStart(16, '0')}`;
  const spec = { command: [], cwd: '', env: {} };
  return engine.turns.run(() =>
    engine.book.add(engine.tables.agents.insert({ id, name, adapter, spec }, name)),
  );
}

export function outgoing(to: string, text = 'hello', more: Partial<Outgoing> = {}): Outgoing {
  const body = new TextEncoder().encode(text);
  const empty: Omit<Outgoing, 'to' | 'body'> = {
    ref: 0,
    id: '',
    contentType: '',
    correlationId: '',
    replyTo: '',
    ttlMs: 0,
    traceparent: '',
    priority: 0,
    answerWithinMs: 0,
    cancels: '',
  };
  return { ...empty, to, body, ...more };
}

/** What a router would have put into the inbox. */
export function entryFor(agent: string, clock: TestClock, more: Partial<Envelope> = {}): InboxEntry {
  const id = newMessageId();
  const nowUs = clock.nowUs();
  const envelope = Envelope.encode({
    id,
    org: ORG,
    fromAgent: 'a_000000000sender',
    fromName: 'sender',
    fromNode: OTHER_NODE,
    to: 'bob',
    correlationId: id,
    replyTo: '',
    traceparent: '',
    acceptedAtUs: nowUs,
    ttlMs: 300_000,
    contentType: '',
    local: false,
    localAgent: '',
    body: new TextEncoder().encode('hi'),
    priority: 0,
    localServed: false,
    attempt: 0,
    cancels: '',
    answerWithinMs: 0,
    ...more,
  }).finish();
  const times = { ingressAtUs: nowUs, ingressSeq: 1, routedAtUs: nowUs, deadlineUs: nowUs + 300_000_000 };
  return { envelope, recipients: [agent], router: 'router-1', routeEpoch: 1, movedEpoch: 0, ...times };
}

export async function hold(test: TestEngine, agent: HostedAgent, entry: InboxEntry): Promise<string> {
  const { ingressAtUs, routedAtUs, router, deadlineUs } = entry;
  const arrival = { ingressAtUs, routedAtUs, router, deadlineUs, history: true };
  return test.engine.turns.run(() =>
    test.engine.custody.hold(agent, Envelope.decode(entry.envelope), entry.envelope, arrival),
  );
}

/** All receipts that wait for one node, oldest first. */
export function receiptsFor(engine: Engine, node: string): Receipt[] {
  return engine.tables.receipts
    .next(node, 0, 10_000)
    .flatMap((row) => ReceiptBatch.decode(row.batch).receipts);
}

/** Takes everything up to `room` messages and remembers it. */
export class TestTaker implements Taker {
  readonly taken: Entry[] = [];
  room: number;
  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }
  hasRoom(agent: HostedAgent): boolean {
    return agent.queue.attempted.size < this.room;
  }
  deliver(entries: readonly Entry[]): void {
    this.taken.push(...entries);
  }
}

export async function refusalOf(work: () => Promise<unknown>): Promise<FleetwireError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof FleetwireError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** A look at a mailbox that holds nothing, waits for nothing. */
export const LOOK: ReadOptions = {
  limit: 10,
  waitMs: 0,
  peek: true,
  replyTo: '',
  holdMs: 0,
  confirm: [],
  hold: [],
  renewMs: 0,
};
