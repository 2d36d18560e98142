/** The benchmarks' entry: one JSON document on standard output, progress on standard error. */

import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { benchDelivery, type DeliveryDocument } from './delivery.ts';
import { benchRegistry, type RegistryDocument } from './registry.ts';
import { benchRouted, type RoutedDocument } from './routed.ts';
import { BODY_BYTES_MIN } from './workers/protocol.ts';

const HELP = `usage: npm run -s bench -- routed|registry|delivery [options]

  --json              print one JSON document (else a short summary)
  --runs <n>          runs, 1 to 20 (1), of fan-out and isolation too; the medians are reported
  --seconds <n>       measured seconds of each phase, 2 to 600 (8)

routed:
  --bytes <n>         body size (256)
  --senders <n>       sending agents of the packed phase (1)
  --receivers <n>     receiving agents (1)
  --partitions <n>    (8)
  --routers <n>       router processes (1)
  --window <n>        messages in flight from end to end, all senders together (1000)
  --rate <n>          messages a second of the latency phase (200)
  --warmup <n>        seconds before each phase counts (8)
  --sweep             also along each of these axes, some minutes
  --fan-out           also a channel of 1,000 agents on 10 nodes
  --isolation         also one recipient that stands still: what the others feel of it
  --soak <n>          also so many messages, to see memory grow

registry:
  --nodes <n>         simulated nodes, 2 to 1000 (1000)
  --agents <n>        agents of all of them, 2 to 1000000 (100000)
  --changes <n>       route changes that are followed (200)

delivery, besides --bytes, --window and --warmup:
  --receipts <n>      receipts of one run, and rows of the COPY beside it (200000)
  --confirms <n>      messages to a program in a terminal, of one run (120)
  --questions <n>     also questions to history, over so many stored messages (0)`;

function number(name: string, text: string | undefined, initial: number, min: number, max: number): number {
  const value = text === undefined ? initial : Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`--${name} takes a whole number from ${min} to ${max}\n\n${HELP}`);
  process.exit(64);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    window: { type: 'string' },
    bytes: { type: 'string' },
    senders: { type: 'string' },
    receivers: { type: 'string' },
    partitions: { type: 'string' },
    routers: { type: 'string' },
    rate: { type: 'string' },
    warmup: { type: 'string' },
    sweep: { type: 'boolean', default: false },
    'fan-out': { type: 'boolean', default: false },
    isolation: { type: 'boolean', default: false },
    soak: { type: 'string' },
    nodes: { type: 'string' },
    agents: { type: 'string' },
    changes: { type: 'string' },
    receipts: { type: 'string' },
    confirms: { type: 'string' },
    questions: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [what] = positionals;
const BENCHES = { routed, registry, delivery } as const;
if (values.help || what === undefined || !Object.hasOwn(BENCHES, what)) {
  console.error(HELP);
  process.exit(values.help ? 0 : 64);
}
const runs = number('runs', values.runs, 1, 1, 20);
const seconds = number('seconds', values.seconds, 8, 2, 600);
const report = (line: string) => console.error(line);
const document = await BENCHES[what as keyof typeof BENCHES]();
const machine = {
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? '',
  memory_gib: Math.round(totalmem() / 2 ** 30),
};
if (values.json) console.log(JSON.stringify({ ...document, machine, node: process.version }, null, 2));
else console.log(summary(document));

function summary(d: RoutedDocument | RegistryDocument | DeliveryDocument): string {
  switch (d.bench) {
    case 'routed':
      return routedSummary(d);
    case 'registry':
      return registrySummary(d);
    case 'delivery':
      return deliverySummary(d);
  }
}

function pointAndTiming() {
  const point = {
    body_bytes: number('bytes', values.bytes, 256, BODY_BYTES_MIN, 1024 * 1024),
    senders: number('senders', values.senders, 1, 1, 1000),
    receivers: number('receivers', values.receivers, 1, 1, 1000),
    partitions: number('partitions', values.partitions, 8, 1, 256),
    routers: number('routers', values.routers, 1, 1, 4),
    window: number('window', values.window, 1000, 1, 100_000),
  };
  const timing = {
    warmup_s: number('warmup', values.warmup, 8, 1, 600),
    seconds,
    paced_rate: number('rate', values.rate, 200, 1, 100_000),
  };
  return { point, timing };
}

function delivery(): Promise<DeliveryDocument> {
  const receipts = number('receipts', values.receipts, 200_000, 1000, 10_000_000);
  const confirms = number('confirms', values.confirms, 120, 1, 10_000);
  const questions = number('questions', values.questions, 0, 0, 100_000_000);
  return benchDelivery({ ...pointAndTiming(), runs, receipts, confirms, questions }, report);
}

function routed(): Promise<RoutedDocument> {
  const soak = number('soak', values.soak, 0, 0, 1_000_000_000);
  const { sweep, isolation, 'fan-out': fanOut } = values;
  return benchRouted({ ...pointAndTiming(), runs, sweep, fanOut, isolation, soak }, report);
}

function registry(): Promise<RegistryDocument> {
  const nodes = number('nodes', values.nodes, 1000, 2, 1000);
  const options = {
    runs,
    seconds,
    // Two processes simulate them, one for each registry.
    nodes: nodes - (nodes % 2),
    agents: number('agents', values.agents, 100_000, 2, 1_000_000),
    changes: number('changes', values.changes, 200, 1, 100_000),
  };
  return benchRegistry(
    { ...options, agents: Math.max(1, Math.floor(options.agents / options.nodes)) * options.nodes },
    report,
  );
}

function routedSummary(d: RoutedDocument): string {
  return [
    `packed    ${d.packed_msgs_per_s} msg/s, ratio ${d.packed_ratio}   ` +
      `one at a time ${d.one_at_a_time_msgs_per_s} msg/s, ratio ${d.one_at_a_time_ratio}`,
    `raw       ${d.raw_two_stage_msgs_per_s} msg/s, in packs ${d.raw_packed_msgs_per_s} msg/s`,
    `latency   p50 ${d.latency_p50_ms} ms, p99 ${d.latency_p99_ms} ms   ` +
      `raw p50 ${d.raw_latency_p50_ms} ms, p99 ${d.raw_latency_p99_ms} ms`,
    ...aimLines(d.aims),
  ].join('\n');
}

function aimLines(aims: Readonly<Record<string, boolean | string>>): string[] {
  return Object.entries(aims).map(([aim, met]) =>
    typeof met === 'string' ? `?        ${aim}: ${met}` : `${met ? 'met    ' : 'MISSED '}  ${aim}`,
  );
}

function registrySummary(d: RegistryDocument): string {
  return [
    `look-up   p50 ${d.lookup_p50_ms} ms, p99 ${d.lookup_p99_ms} ms   ` +
      `raw gRPC p50 ${d.raw_grpc_p50_ms} ms, our library ${d.rpc_library_p50_ms} ms   ratio ${d.lookup_ratio}`,
    `rates     ${d.registrations_per_s} registrations/s, ${d.joins_per_s} joins/s, ${d.heartbeats_per_s} heartbeats/s`,
    `table     ${d.router_bytes_per_agent} bytes an agent, ${d.router_resolve_ns} ns a decision, ` +
      `rebuilt in ${d.table_rebuild_s} s`,
    `change    at the router within ${d.route_change_to_router_p99_ms} ms at the 99th percentile`,
    ...aimLines(d.aims),
  ].join('\n');
}

function deliverySummary(d: DeliveryDocument): string {
  return [
    `receipts  ${d.receipts_per_s}/s into PostgreSQL, bare COPY ${d.raw_copy_rows_per_s} rows/s   ratio ${d.receipts_ratio}`,
    `history   behind by p50 ${d.history_lag_p50_ms} ms, p99 ${d.history_lag_p99_ms} ms at ${d.routed_msgs_per_s} msg/s   ` +
      `receipts by p50 ${d.receipts_lag_p50_ms} ms, p99 ${d.receipts_lag_p99_ms} ms`,
    `latency   at a subscriber p50 ${d.subscribe_p50_ms} ms, bare publish ${d.raw_publish_p50_ms} ms   ` +
      `answered p50 ${d.ask_p50_ms} ms, bare request ${d.raw_request_p50_ms} ms`,
    `terminal  confirmed p50 ${d.confirm_p50_ms} ms after it shows, a look at the pane ${d.pane_look_p50_ms} ms`,
    ...(d.questions === undefined ? [] : Object.entries(d.questions.by_call).map(questionLine)),
    ...aimLines(d.aims),
  ].join('\n');
}

function questionLine([question, figure]: [string, number | { ms: number; look_ups: number }]): string {
  if (typeof figure === 'number') return `history   a look-up by primary key ${figure} ms`;
  return `history   ${question}: ${figure.ms} ms, ${figure.look_ups} look-ups`;
}
