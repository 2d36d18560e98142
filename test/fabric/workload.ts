/** A steady stream of numbered messages from one agent to another, and what arrived, reconciled at the end. */

import { strict as assert } from 'node:assert';
import { type Agent, connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import type { NodePart } from './separate-processes.ts';

export interface Workload extends AsyncDisposable {
  /** Ids by number, in the order in which they were sent, of what the node accepted. */
  readonly accepted: Map<number, string>;
  /** Numbers in the order in which the receiving agent took them. */
  readonly received: number[];
  readonly refused: string[];
  /** Ends the sending and waits until every send has its answer. */
  finishSending(): Promise<void>;
  /** Waits until all that was accepted has arrived, then checks: each once, in order. */
  reconcile(timeoutMs: number): Promise<void>;
}

export interface WorkloadOptions {
  readonly from: NodePart;
  readonly to: NodePart;
  readonly rate: number;
  /** Names of the two agents. */
  readonly sender: string;
  readonly receiver: string;
}

export async function startWorkload(o: WorkloadOptions): Promise<Workload> {
  const receiver = await connect({ address: o.to.address, token: o.to.adminToken(), name: o.receiver });
  const sender = await connect({ address: o.from.address, token: o.from.adminToken(), name: o.sender });
  const accepted = new Map<number, string>();
  const received: number[] = [];
  const refused: string[] = [];
  const reading = read(receiver, received);
  const sends = new Set<Promise<void>>();
  let next = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) * o.rate) / 1000);
    for (; next < due; next++) {
      const number = next;
      const send = sender.send(o.receiver, Buffer.from(String(number))).then(
        ({ id }) => {
          accepted.set(number, id);
        },
        (error: Error) => {
          refused.push(`${number}: ${error.message}`);
        },
      );
      sends.add(send);
      void send.then(() => sends.delete(send));
    }
  }, 5);
  return {
    accepted,
    received,
    refused,
    finishSending: async () => {
      clearInterval(timer);
      await Promise.all(sends);
    },
    reconcile: (timeoutMs) => reconcile(accepted, received, timeoutMs),
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await Promise.allSettled([sender.close(), receiver.close()]);
      await reading;
    },
  };
}

async function read(receiver: Agent, received: number[]): Promise<void> {
  for await (const message of receiver.messages()) {
    received.push(Number(new TextDecoder().decode(message.body)));
    message.ack();
  }
}

async function reconcile(
  accepted: ReadonlyMap<number, string>,
  received: readonly number[],
  timeoutMs: number,
) {
  const missing = () => {
    const seen = new Set(received);
    return [...accepted.keys()].filter((number) => !seen.has(number));
  };
  await eventually(() => missing().length === 0, { timeoutMs, everyMs: 100 }).catch(() => undefined);
  const lost = missing();
  assert.deepEqual(
    lost.slice(0, 10),
    [],
    `${lost.length} of ${accepted.size} accepted messages did not arrive`,
  );
  assert.equal(
    new Set(received).size,
    received.length,
    `doubled: ${doubled(received).slice(0, 10).join(', ')}`,
  );
  const swapped = received.findIndex((number, i) => i > 0 && number < received[i - 1]!);
  assert.equal(
    swapped,
    -1,
    `out of order at ${swapped}: ${received.slice(swapped - 2, swapped + 3).join(', ')}`,
  );
}

function doubled(received: readonly number[]): number[] {
  const seen = new Set<number>();
  return received.filter((number) => {
    const before = seen.has(number);
    seen.add(number);
    return before;
  });
}
