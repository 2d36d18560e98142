/** Many nodes in one process: they join, register their agents, and send heartbeats, each over its own connection. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { createRpcClient } from '@fleetwire/rpc';
import { type RegistryClient, SimulatedNode } from '../registry/simulated-node.ts';
import { inParallel, serveTasks } from './tasks.ts';

/** Nodes that join, or send their roster, at the same time. */
const JOINS = 8;
const ROSTERS = 4;
/** Heartbeats between two turns of the pace, at most. */
const BURST = 50;
/** Between two heartbeats of one node. */
const HEARTBEAT_S = 10;

const nodes: SimulatedNode[] = [];
const counts = { beats: 0, failed: 0, why: '' };
let address = '';
let next = 0;
let pace: NodeJS.Timeout | undefined;

const client = (token?: string): RegistryClient =>
  createRpcClient(RegistryServiceDefinition, {
    address,
    deadlineMs: 60_000,
    ...(token === undefined ? {} : { token: () => token }),
  });

async function beatOnce(): Promise<void> {
  const node = nodes[next++ % nodes.length]!;
  try {
    const reply = await node.beat();
    if (!reply.known) throw new Error(`${node.name} is not known: ${reply.refused}`);
    counts.beats++;
  } catch (error) {
    counts.failed++;
    counts.why = String(error);
  }
}

/** So many heartbeats a second from now on, all nodes in turn; what could not be sent in time is not made up for. */
function setPace(perSecond: () => number): void {
  clearInterval(pace);
  let last = performance.now();
  let due = 0;
  pace = setInterval(() => {
    const now = performance.now();
    due = Math.min(BURST, due + ((now - last) * perSecond()) / 1000);
    last = now;
    for (; due >= 1; due--) void beatOnce();
  }, 5);
}

serveTasks({
  async join(o: { registry: string; tokens: readonly string[]; prefix: string }) {
    address = o.registry;
    setPace(() => nodes.length / HEARTBEAT_S);
    const anonymous = client();
    await inParallel(o.tokens, JOINS, async (token, i) => {
      nodes.push(await SimulatedNode.join(anonymous, token, `${o.prefix}-${i}`));
    });
    anonymous.close();
    const [first] = nodes;
    return { node: first!.id, token: first!.token, org: first!.org };
  },
  async register(o: { agents: number; prefix: string }) {
    let rosters = true;
    await inParallel(nodes, ROSTERS, async (node, i) => {
      const own = client(node.token);
      rosters = (await node.register(own, `${o.prefix}-${i}`, o.agents)) && rosters;
      own.close();
    });
    return { rosters };
  },
  /** Until told so, each node sends one every 10 s. */
  pace: (o: { perSecond: number }) => setPace(() => o.perSecond),
  /** As many as the window allows. */
  async flood(o: { ms: number; window: number }) {
    const before = { ...counts };
    const until = performance.now() + o.ms;
    const lane = async () => {
      while (performance.now() < until) await beatOnce();
    };
    await Promise.all(Array.from({ length: o.window }, lane));
    return { beats: counts.beats - before.beats };
  },
  counts: () => counts,
});
