/** One run of chaos: a fabric of its own, agents that write to each other, faults, and what became of every message. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LEASES_BUCKET } from '@fleetwire/contract';
import { pause } from '@fleetwire/kernel';
import { eventually, type Random, randomOf } from '@fleetwire/testkit';
import { type SeparateFabric, startSeparateFabric } from '../fabric/separate-processes.ts';
import { type Faults, startFaults } from './faults.ts';
import { type History, openHistory } from './history.ts';
import { type InboxWatch, watchInboxes } from './inbox-watch.ts';
import type { ChaosOutcome } from './outcome.ts';
import { type Plan, planOf } from './plan.ts';
import { type Accepted, type Ledger, type Received, reconcile } from './reconcile.ts';
import { schedule } from './schedule.ts';
import { untilDone } from './until-done.ts';
import { startWorker, type Worker } from './worker.ts';

/** Besides the routers. */
export type Also = 'nats' | 'nodes';

export interface ChaosOptions {
  readonly seed: number;
  /** At least; more when there were fewer faults than LEAST_FAULTS by then. */
  readonly messages: number;
  /** Messages in a second, at most. */
  readonly rate: number;
  /** Hit as well, now and then. */
  readonly also?: readonly Also[];
  /** Modules to be loaded into the processes first, as file URLs. */
  readonly preload?: Readonly<Partial<Record<'router' | 'node', readonly string[]>>>;
  /** Ends the run early: it then rejects, and leaves nothing behind. */
  readonly signal?: AbortSignal;
  /** Findings are what is wanted: the logs need not be kept for them. */
  readonly expectFindings?: boolean;
  /** Told what happens, a line each. */
  readonly report: (line: string) => void;
}

const ROUTERS = 4;
const NODES = ['one', 'two', 'three', 'four'];
const AGENTS = { senders: 100, recipients: 100, fanOut: 8 };
/** Messages that may be under way: well below what the queues of the recipients hold together. */
const UNDER_WAY = 12_000;
/** Acknowledgements follow the ends; a consumer that was cut off in between gets its messages again after 30 s at most. */
const LEFT_MS = 45_000;
/** Of a process that is started: minutes on a machine that is very busy. */
const READY_MS = 240_000;
/** On a machine that is busy a router may take most of a minute to start; a run without faults would show nothing. */
const LEAST_FAULTS = 6;
/** How long others than routers are left alone. */
const RARELY_MS = [15_000, 45_000] as const;
/** Without any progress for so long a run is over, and what is missing is lost. */
const STILL_MS = 60_000;
/** Often, so that it meets take-overs. */
const STRAYS_MS = 500;
const FAR_BROKER = new URL('./far-broker.ts', import.meta.url).href;

/** Rejects when a process does not come back or an agent's client ends; the fabric's logs are kept then, and on findings. */
export async function chaosRun(o: ChaosOptions): Promise<ChaosOutcome> {
  const beganMs = performance.now();
  const imports = (urls: readonly string[]) => urls.flatMap((url) => ['--import', url]);
  await using fabric = await startSeparateFabric({
    nodes: NODES,
    routers: ROUTERS,
    readyMs: READY_MS,
    env: { FLEETWIRE_LOG_LEVEL: 'info', FLEETWIRE_ROUTER_STRAY_DURABLES_MS: String(STRAYS_MS) },
    flags: {
      router: imports([FAR_BROKER, ...(o.preload?.router ?? [])]),
      node: imports(o.preload?.node ?? []),
    },
  });
  try {
    const outcome = await loadAndFaults(fabric, o);
    if (outcome.findings.length > 0 && o.expectFindings !== true) fabric.keep();
    return { ...outcome, seconds: Math.round((performance.now() - beganMs) / 1000) };
  } catch (error) {
    if (o.signal?.aborted !== true) fabric.keep();
    throw error;
  }
}

async function loadAndFaults(
  fabric: SeparateFabric,
  o: ChaosOptions,
): Promise<Omit<ChaosOutcome, 'seconds'>> {
  const random = randomOf(o.seed);
  const plan = planOf(random, { nodes: NODES.length, ...AGENTS });
  await using watch = await watchInboxes(fabric.natsUrl, fabric.keysDir);
  await using history = await openHistory(fabric.databaseUrl);
  await using agents = await startAgents(fabric, plan, o);
  const faults = startAllFaults(fabric, random, o);
  try {
    const broken = [faults.failed, aborted(o.signal), ...agents.all.map(({ failed }) => failed)];
    await Promise.race([work(agents, history, faults, o), ...broken]);
  } finally {
    await faults.end();
  }
  await agents.finish();
  const ended = async () => (await watch.left()).length === 0;
  await eventually(ended, { timeoutMs: LEFT_MS, everyMs: 500 }).catch(() => undefined);
  const told = { ...(await history.all()), left: await watch.left() };
  return outcomeOf(fabric, watch, faults, agents, told);
}

function startAllFaults(fabric: SeparateFabric, random: Random, o: ChaosOptions): Faults {
  const leaseMs = LEASES_BUCKET.ttl_ms;
  const report = (line: string) => o.report(`    ${line}`);
  const routers = startFaults(fabric.routers, schedule(random, { routers: ROUTERS, leaseMs }), report);
  const also = (o.also ?? []).map((name) => {
    const parts = name === 'nats' ? [fabric.parts.nats] : Object.values(fabric.nodes);
    const seed = random(2 ** 31);
    const steps = schedule(randomOf(seed), { routers: parts.length, leaseMs, calmMs: RARELY_MS });
    return startFaults(parts, steps, report);
  });
  const all = [routers, ...also];
  return {
    counts: routers.counts,
    failed: Promise.race(all.map(({ failed }) => failed)),
    end: async () => {
      for (const faults of all) await faults.end();
    },
  };
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new Error('the run was ended early')), { once: true });
  });
}

/** Faults go on until the last message is accepted; then what is under way has to arrive. */
async function work(agents: Agents, history: History, faults: Faults, o: ChaosOptions): Promise<void> {
  const { senders, receivers } = agents;
  const enough = () => faults.counts.kill + faults.counts.pause + faults.counts.stop >= LEAST_FAULTS;
  const due = () => Math.min(enough() ? o.messages : Number.MAX_SAFE_INTEGER, receivers.count + UNDER_WAY);
  const feeding = setInterval(() => senders.allow(due()), 50);
  const progress = (text: () => string) => ({ stillMs: STILL_MS, report: () => o.report(`  ${text()}`) });
  try {
    await untilDone({
      reading: () => senders.count + receivers.count,
      done: () => senders.count >= o.messages && enough(),
      ...progress(() => `${senders.count} accepted, ${receivers.count} received`),
    });
  } finally {
    clearInterval(feeding);
  }
  senders.allow(0);
  await faults.end();
  await untilDone({
    reading: () => receivers.count,
    done: () => receivers.count >= senders.count,
    ...progress(() => `${receivers.count} of ${senders.count} received`),
  });
  let finals = 0;
  await untilDone({
    reading: async () => {
      finals = await history.finals();
      return finals;
    },
    done: () => finals >= senders.count,
    ...progress(() => `${finals} of ${senders.count} have their end in history`),
  });
  // What comes twice comes late: a moment for the last of it.
  await pause(1000);
}

interface Agents extends AsyncDisposable {
  readonly senders: Worker;
  readonly receivers: Worker;
  readonly all: readonly Worker[];
  readonly files: { readonly accepted: string; readonly received: string };
  finish(): Promise<void>;
}

async function startAgents(fabric: SeparateFabric, plan: Plan, o: ChaosOptions): Promise<Agents> {
  const files = { accepted: join(fabric.folder, 'accepted'), received: join(fabric.folder, 'received') };
  const doors = NODES.map((name) => {
    const node = fabric.nodes[name]!;
    return { address: node.address, token: node.adminToken() };
  });
  const task = { plan, doors, seed: o.seed, rate: o.rate };
  const receivers = await startWorker('receivers', { ...task, file: files.received });
  const senders = await startWorker('senders', { ...task, file: files.accepted });
  const all = [senders, receivers];
  return {
    senders,
    receivers,
    all,
    files,
    finish: async () => {
      for (const worker of all) await worker.finish();
    },
    [Symbol.asyncDispose]: async () => {
      for (const worker of all) await worker.kill();
    },
  };
}

function outcomeOf(
  fabric: SeparateFabric,
  { repeated, deduped }: InboxWatch,
  faults: Faults,
  agents: Agents,
  told: Pick<Ledger, 'history' | 'dead' | 'left'>,
): Omit<ChaosOutcome, 'seconds'> {
  const accepted = linesOf(agents.files.accepted).map(
    ([from, to, number, id]): Accepted => ({ from: from!, to: to!, number: Number(number), id: id! }),
  );
  const received = linesOf(agents.files.received).map(
    ([from, to, number]): Received => ({ from: from!, to: to!, number: Number(number) }),
  );
  const stages: Record<string, number> = {};
  for (const { stage } of told.history) stages[stage ?? 'none'] = (stages[stage ?? 'none'] ?? 0) + 1;
  const logged = fabric.routers.map(({ name }) => readFileSync(join(fabric.folder, `${name}.log`), 'utf8'));
  const count = (text: string) => logged.reduce((sum, log) => sum + log.split(text).length - 1, 0);
  return {
    findings: reconcile({ accepted, received, ...told }),
    accepted: accepted.length,
    received: received.length,
    repeated,
    deduped,
    takeOvers: count('routing a partition'),
    busy: count('(10167)'),
    faults: { ...faults.counts },
    refused: agents.senders.refused,
    stages,
  };
}

function linesOf(file: string): string[][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
}
