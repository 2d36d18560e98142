/**
 * Measures a flow without a broker: `node --expose-gc services/router/test/measure-flow.ts [messages]`. Packs of 32 messages to
 * 64 agents each, taken in, packed and settled; prints microseconds of one message, the best of seven rounds.
 */

import { flowOf, idOf, message, NODE, NOW_US, nodeRoute, ORG, packOf, route, tableOf } from './samples.ts';

const MESSAGES = Number(process.argv[2] ?? 64_000);
const PACK = 32;
const AGENTS = 64;
const ROUNDS = 7;

function measure(what: string, to: (n: number) => string, messages: number): void {
  const table = tableOf();
  for (let i = 0; i < AGENTS; i++) table.put(route(`agent-${i}`, { node: `n_${i % 8}` }));
  for (let i = 0; i < 10; i++) table.putNode(ORG, nodeRoute(`n_many${i}`));
  const members = Array.from({ length: 1000 }, (_, i) => `a_member-${i}`);
  for (let i = 0; i < 1000; i++) table.put(route(`member-${i}`, { node: `n_many${i % 10}` }));
  table.putChannel(ORG, { channel: 'c_1', name: 'ops', epoch: 1, group: false, members });
  let n = 0;
  const packs = Array.from({ length: Math.ceil(messages / PACK) }, () =>
    packOf(Array.from({ length: PACK }, () => ({ id: idOf(++n), to: to(n), fromNode: NODE }))),
  );
  let best = Number.POSITIVE_INFINITY;
  let stores = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const flow = flowOf(table);
    globalThis.gc?.();
    stores = 0;
    const from = process.hrtime.bigint();
    for (const [i, pack] of packs.entries()) {
      flow.accept(message(i + 1, pack), NOW_US);
      // Four packs gather before they are stored, as they do while the broker is busy.
      if (i % 4 !== 3) continue;
      for (let p = flow.next(NOW_US); p !== undefined; p = flow.next(NOW_US)) {
        stores += p.stores.length;
        flow.stored(p);
      }
      flow.advance();
    }
    best = Math.min(best, Number(process.hrtime.bigint() - from) / 1000 / n);
  }
  console.log(`${what}: ${best.toFixed(2)} us a message, ${(stores / n).toFixed(2)} stores`);
}

measure('to one agent', (n) => `agent-${n % AGENTS}`, MESSAGES);
if (process.argv[3] === 'many') measure('to a channel of 1000 on 10 nodes', () => '#ops', 640);
