/**
 * Measures the routing table: `node --expose-gc services/router/test/measure-table.ts [agents] [nodes]`. Encoded routes are
 * applied as the watch does it; prints bytes of the heap for each agent, and nanoseconds of one decision.
 */

import { NodeRoute, Route } from '@fleetwire/gen/message';
import { newId, newMessageId } from '@fleetwire/kernel';
import { NOBODY, resolve } from '../src/domain/resolve.ts';
import { RoutingTable } from '../src/domain/routing-table.ts';
import { applyChange } from '../src/handlers/routes-watch.ts';

const AGENTS = Number(process.argv[2] ?? 100_000);
const NODES = Number(process.argv[3] ?? 1000);
const PROJECTS = 500;
const DECISIONS = 1_000_000;
const CAPABILITIES = [['review', 'typescript'], ['build', 'docker'], ['review', 'rust', 'sql'], []];

const org = newId('org');
const nodes = Array.from({ length: NODES }, (_, i) => ({ id: newId('node'), name: `laptop-${i}` }));
const nameOf = (i: number) => `coding-agent-${i}`;
const table = new RoutingTable();
const o = { table, lookup: { forget: () => undefined } as never, log: { error: console.error } as never };

function apply(i: number): void {
  const node = nodes[i % NODES]!;
  const agent = newId('agent');
  const capabilities = CAPABILITIES[Math.floor(i / NODES) % 4]!;
  const project = `project-${i % PROJECTS}`;
  const where = { node: node.id, nodeName: node.name };
  const route = { agent, name: nameOf(i), ...where, epoch: i + 1, capabilities, project };
  const value = Route.encode(Route.fromPartial(route)).finish();
  applyChange(o, { key: `${org}.${agent}`, value });
}

function settled(): { heap: number; rss: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

function measure(what: string, times: number, run: (i: number) => unknown): void {
  for (let i = 0; i < times / 10; i++) run(i);
  const from = process.hrtime.bigint();
  for (let i = 0; i < times; i++) run(i);
  console.log(`${what}: ${(Number(process.hrtime.bigint() - from) / times).toFixed(0)} ns`);
}

// What encoding and compiling take is not what the table takes.
for (let i = 0; i < AGENTS; i++) apply(i);
for (let i = 0; i < AGENTS; i++) table.remove(org, table.find(org, nameOf(i))!.agent);
const before = settled();
const from = performance.now();
for (const [i, { id, name }] of nodes.entries()) {
  const value = NodeRoute.encode(
    NodeRoute.fromPartial({ node: id, name, epoch: i + 1, online: true }),
  ).finish();
  applyChange(o, { key: `${org}.${id}`, value });
}
for (let i = 0; i < AGENTS; i++) apply(i);
console.log(`applied in ${(performance.now() - from).toFixed(0)} ms (encoding included)`);
const after = settled();
const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
console.log(
  `${AGENTS} agents: heap ${mb(after.heap - before.heap)} MB, process ${mb(after.rss - before.rss)} MB`,
);
console.log(`bytes for each agent: ${((after.heap - before.heap) / AGENTS).toFixed(0)}`);
const names = { table, known: () => undefined };
const strings = Array.from({ length: 4096 }, (_, i) => nameOf((i * 7919) % AGENTS));
let bytes = 0;
measure('resolve a name, with its subject', DECISIONS, (i) => {
  const found = resolve(names, org, strings[i & 4095]!);
  if (found.kind === 'route') bytes += found.route.subject.length;
});
const id = newMessageId();
measure(`resolve ?review among ${NODES} nodes`, 2000, () =>
  resolve(names, org, '?review', { ...NOBODY, id }, 1),
);
measure(`resolve a project of ${AGENTS / PROJECTS} agents`, 2000, () =>
  resolve(names, org, 'project-7:*', NOBODY, 1),
);
measure(`resolve *, ${AGENTS} agents`, 20, () => resolve(names, org, '*', NOBODY, 1));
if (bytes === 0) throw new Error('nothing was resolved');
