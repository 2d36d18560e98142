/** The benchmarks' entry: one JSON document on standard output, progress on standard error. */

import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { benchRouted } from './routed.ts';

const HELP = `usage: npm run -s bench -- routed [options]

  --json              print one JSON document (else a short summary)
  --runs <n>          side-by-side runs, 1 to 20 (1); the medians are reported
  --seconds <n>       measured seconds of each phase, 2 to 600 (8)
  --window <n>        messages in flight from end to end (1000)
  --bytes <n>         body size (256)
  --receivers <n>     receiving agents (1)
  --rate <n>          messages a second of the latency phase (200)`;

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
    receivers: { type: 'string' },
    rate: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || positionals[0] !== 'routed') {
  console.error(HELP);
  process.exit(values.help ? 0 : 64);
}
const document = await benchRouted(
  {
    runs: number('runs', values.runs, 1, 1, 20),
    seconds: number('seconds', values.seconds, 8, 2, 600),
    window: number('window', values.window, 1000, 1, 100_000),
    body_bytes: number('bytes', values.bytes, 256, 8, 1024 * 1024),
    receivers: number('receivers', values.receivers, 1, 1, 1000),
    paced_rate: number('rate', values.rate, 200, 1, 100_000),
  },
  (line) => console.error(line),
);
const machine = {
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? '',
  memory_gib: Math.round(totalmem() / 2 ** 30),
};
if (values.json) console.log(JSON.stringify({ ...document, machine, node: process.version }, null, 2));
else {
  console.log(
    `routed   ${document.routed_msgs_per_s} msg/s   raw ${document.raw_two_stage_msgs_per_s} msg/s   ratio ${document.ratio}`,
  );
  console.log(
    `latency  p50 ${document.latency_p50_ms} ms, p99 ${document.latency_p99_ms} ms   ` +
      `raw p50 ${document.raw_latency_p50_ms} ms, p99 ${document.raw_latency_p99_ms} ms`,
  );
}
