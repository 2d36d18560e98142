/** The two processes that send and receive through the SDK, as agents of the fabric's nodes. */

import type { BenchFabric, BenchNode } from '../fabric.ts';
import type { Figures, Load, Timing, Usage } from '../phases.ts';
import { runPhases } from '../phases.ts';
import { readCpu, readMemory } from '../process-usage.ts';
import { startWorker, type Worker } from '../worker-process.ts';
import type { ClientsOfNode } from '../workers/routed-settings.ts';

export interface Clients {
  readonly sender: Worker;
  readonly receiver: Worker;
  readonly usage: Usage;
  stop(): Promise<void>;
}

/**
 * Far above any window, so that no receiver is said to be busy for what the window has under way: with queues of 1,000, all of a
 * window of 1,000 may be in one. What busy receivers do to others is measured by itself (isolation).
 */
const QUEUE = { messages: 100_000, bytes: 256 * 1024 * 1024 } as const;

/** Agents are dealt out to the nodes in turn. `flags` are for Node.js. */
export async function startClients(
  fabric: BenchFabric,
  senders: number,
  receivers: number,
  flags: readonly string[] = [],
): Promise<Clients> {
  const to = Array.from({ length: receivers }, (_, i) => `to-${i}`);
  const from = Array.from({ length: senders }, (_, i) => `from-${i}`);
  const workers: Worker[] = [];
  const stop = async () => {
    for (const worker of workers.splice(0).reverse()) await worker.stop();
  };
  try {
    const taking = { own: deal(fabric.far, to), to, queue: QUEUE };
    workers.push(await startWorker('routed-receiver', taking, flags));
    workers.push(await startWorker('routed-sender', { own: deal(fabric.near, from), to }, flags));
  } catch (error) {
    await stop();
    throw error;
  }
  const [receiver, sender] = workers as [Worker, Worker];
  const given = new Map([...fabric.roles, [receiver.pid, 'receiver'], [sender.pid, 'sender']]);
  const usage = {
    cpu: () => readCpu(fabric.home, given),
    memory: () => readMemory(fabric.home, given),
  };
  return { sender, receiver, usage, stop };
}

export async function runRouted(
  fabric: BenchFabric,
  load: Load & { readonly receivers: number },
  timing: Timing,
): Promise<Figures> {
  const clients = await startClients(fabric, load.senders, load.receivers);
  try {
    return await runPhases(clients.sender, clients.receiver, load, timing, clients.usage);
  } finally {
    await clients.stop();
  }
}

function deal(nodes: readonly BenchNode[], agents: readonly string[]): ClientsOfNode[] {
  return nodes.map(({ address, token }, n) => ({
    address,
    token,
    agents: agents.filter((_, i) => i % nodes.length === n),
  }));
}
