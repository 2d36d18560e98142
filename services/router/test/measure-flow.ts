/**
 * Measures what a message costs a flow, from bytes of ingress to what is to be stored: node test/measure-flow.ts
 * Idle: each message alone. Packs: 64 of one sender for one agent. Many: 64 for as many agents. Backlog: 4,000 for one.
 */

import { ingressSubject } from '@fleetwire/contract';
import { flowOf, idOf, message, NODE, NOW_US, ORG, packOf, tableOf } from './samples.ts';

const AGENTS = Array.from({ length: 64 }, (_, i) => `agent-${i}`);
const subject = ingressSubject.build({ partition: 0, org: ORG, node: NODE });
const single = packOf([{ id: idOf(1), to: 'agent-1' }]);
const toOne = packOf(AGENTS.map((_, i) => ({ id: idOf(i), to: 'agent-1' })));
const toMany = packOf(AGENTS.map((to, i) => ({ id: idOf(i), to })));

/** Microseconds of processor time a message, the best of some rounds. */
function measure(name: string, data: Uint8Array, messages: number, packsAtOnce: number): void {
  const flow = flowOf(tableOf(...AGENTS));
  let sequence = 0;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 10; round++) {
    const rounds = Math.ceil(100_000 / messages / packsAtOnce);
    const start = process.cpuUsage();
    for (let i = 0; i < rounds; i++) {
      for (let p = 0; p < packsAtOnce; p++) flow.accept(message(++sequence, data, { subject }), NOW_US);
      for (let pack = flow.next(NOW_US); pack !== undefined; pack = flow.next(NOW_US)) flow.stored(pack);
      flow.advance();
    }
    const { user } = process.cpuUsage(start);
    best = Math.min(best, user / (rounds * packsAtOnce * messages));
  }
  console.log(`${name.padEnd(8)} ${best.toFixed(3)} us a message`);
}

measure('idle', single, 1, 1);
measure('packs', toOne, 64, 1);
measure('many', toMany, 64, 1);
measure('backlog', toOne, 64, 64);
