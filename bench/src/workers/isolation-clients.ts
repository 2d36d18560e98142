/** Agents around one that can stand still, of isolation and soak: senders at a steady rate, and takers that time what comes. */

import { pause } from '@fleetwire/kernel';
import { type Agent, connect, FleetwireError, type Message, type Receipt, Stage } from '@fleetwire/sdk';
import { machineMs, stampedBody, stampOf } from './protocol.ts';
import { serveTasks } from './tasks.ts';

interface Place {
  readonly address: string;
  readonly token: string;
}

const senders: Agent[] = [];
const takers: Agent[] = [];
/** Of each taker since the last `begin`. */
let samples = new Map<string, number[]>();
/** Stands still while it keeps what it was shown. */
let stopped: { readonly agent: Agent; readonly kept: Message[]; taken: number; goesOn: boolean } | undefined;
/** Ids that a node has accepted and that have not ended. */
const open = new Set<string>();
/** Ends that were heard before the acceptance. */
const early = new Map<string, Stage>();
const ends: Record<string, number> = {};
let accepted = 0;
let refusals: Record<string, number> = {};

const NAMES = new Map(Object.entries(Stage).map(([name, stage]) => [stage, name.toLowerCase()]));

async function take(agent: Agent): Promise<void> {
  for await (const message of agent.messages()) {
    message.ack();
    samples.get(agent.name)?.push(machineMs() - stampOf(message.body));
  }
}

async function standStill(): Promise<void> {
  const its = stopped!;
  for await (const message of its.agent.messages({ autoAck: false })) {
    its.taken++;
    if (its.goesOn) message.ack();
    else its.kept.push(message);
  }
}

async function follow(agent: Agent): Promise<void> {
  for await (const receipt of agent.receipts()) if (receipt.final) ended(receipt);
}

function ended({ messageId, stage }: Pick<Receipt, 'messageId' | 'stage'>): void {
  if (!open.delete(messageId)) {
    early.set(messageId, stage);
    return;
  }
  const name = NAMES.get(stage) ?? String(stage);
  ends[name] = (ends[name] ?? 0) + 1;
}

function send(from: Agent, to: string, bytes: number): void {
  from.send(to, stampedBody(bytes, 0)).then(
    ({ id }) => {
      accepted++;
      open.add(id);
      const stage = early.get(id);
      if (stage === undefined) return;
      early.delete(id);
      ended({ messageId: id, stage });
    },
    (error: unknown) => {
      if (!(error instanceof FleetwireError)) throw error;
      refusals[error.reason] = (refusals[error.reason] ?? 0) + 1;
    },
  );
}

interface Pace {
  readonly to: readonly string[];
  /** Messages a second of all senders together, to all of `to` in turn. */
  readonly rate: number;
  readonly bytes: number;
  readonly ms: number;
}

serveTasks({
  async senders({ places, names }: { places: readonly Place[]; names: readonly string[] }) {
    for (const [i, name] of names.entries()) {
      const place = places[i % places.length]!;
      const agent = await connect({ ...place, name, receipts: true, connectMs: 60_000 });
      senders.push(agent);
      void follow(agent);
    }
  },
  async takers({ place, names }: { place: Place; names: readonly string[] }) {
    for (const name of names) {
      const agent = await connect({ ...place, name, connectMs: 60_000 });
      takers.push(agent);
      void take(agent);
    }
  },
  async stopped({ place, name, messages }: { place: Place; name: string; messages: number }) {
    const agent = await connect({ ...place, name, queue: { messages }, connectMs: 60_000 });
    stopped = { agent, kept: [], taken: 0, goesOn: false };
    void standStill();
  },
  /** Latencies count from now. */
  begin: () => {
    samples = new Map(takers.map(({ name }) => [name, []]));
    refusals = {};
  },
  latencies: () => Object.fromEntries(samples),
  /** Sends for `ms`, whatever is refused; each sender has its turn with each recipient. */
  async pace({ to, rate, bytes, ms }: Pace) {
    const began = performance.now();
    for (let sent = 0, at = 0; at < ms; at = performance.now() - began) {
      for (const due = Math.floor((at * rate) / 1000); sent < due; sent++) {
        const round = Math.floor(sent / to.length);
        send(senders[round % senders.length]!, to[sent % to.length]!, bytes);
      }
      await pause(1);
    }
  },
  standStill: () => {
    stopped!.goesOn = false;
  },
  goOn: () => {
    stopped!.goesOn = true;
    for (const message of stopped!.kept.splice(0)) message.ack();
  },
  state: () => ({ accepted, open: open.size, ends, refusals, taken: stopped?.taken ?? 0 }),
});
