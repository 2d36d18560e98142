/**
 * Measures reading, merging and writing without a broker: `node services/delivery/test/measure-store.ts [rows]`.
 * Prints rows a second and microseconds of this process's and the server's CPU a row; PostgreSQL
 * runs with its default durability.
 */

import { readdirSync, readFileSync } from 'node:fs';
import type { PulledMessage } from '@fleetwire/broker';
import { Stage } from '@fleetwire/gen/message';
import { openStore } from '@fleetwire/store';
import { startOwnPostgres } from '@fleetwire/testkit';
import { historySource } from '../src/handlers/history.ts';
import type { IngestSource } from '../src/handlers/ingest-loop.ts';
import { receiptSource } from '../src/handlers/receipts.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import * as sample from './sample-traffic.ts';

const ROWS = Number(process.argv[2] ?? 60_000);
const PACK = 32;
const FLUSH = 1500;

await using postgres = await startOwnPostgres({});
const url = postgres.url;
const store = await openStore({
  url,
  schema: 'delivery',
  entities,
  migrations,
  poolMax: 4,
  applicationName: 'measure',
});

const TICK_US = 10_000;

/** User and system time of the server so far, with its ended processes. */
function serverCpuUs(): number {
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const fields = statOf(pid);
    const own = Number(fields[11]) + Number(fields[12]);
    if (Number(pid) === postgres.server.pid) ticks += own + Number(fields[13]) + Number(fields[14]);
    else if (Number(fields[1]) === postgres.server.pid) ticks += own;
  }
  return ticks * TICK_US;
}

/** What stands behind the name of a process; nothing of one that has just ended. */
function statOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  } catch {
    return [];
  }
}

function pulled(subject: string, data: Uint8Array, sequence: number): PulledMessage {
  const message = { subject, data, sequence, deliverySequence: sequence, deliveries: 1, storedAtUs: 1 };
  return {
    ...message,
    header: () => '',
    ack: () => undefined,
    working: () => undefined,
    nak: () => undefined,
  } as PulledMessage;
}

async function measure<Row>(
  name: string,
  source: IngestSource<Row>,
  messages: PulledMessage[],
): Promise<void> {
  const cpu = process.cpuUsage();
  const serverCpu = serverCpuUs();
  const started = performance.now();
  let rows = 0;
  let readMs = 0;
  let waiting: Row[] = [];
  const flush = async () => {
    await source.save(source.combine(waiting));
    waiting = [];
  };
  for (const message of messages) {
    const begun = performance.now();
    const intake = source.read(message);
    readMs += performance.now() - begun;
    rows += intake.rows.length;
    waiting.push(...intake.rows);
    if (waiting.length >= FLUSH) await flush();
  }
  if (waiting.length > 0) await flush();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  const perSecond = Math.round((rows / ms) * 1000);
  const cpuUs = ((user + system) / rows).toFixed(1);
  const serverUs = ((serverCpuUs() - serverCpu) / rows).toFixed(1);
  const readUs = ((readMs * 1000) / rows).toFixed(1);
  const cpuOf = `${cpuUs} us CPU a row, ${readUs} of them reading; server ${serverUs}`;
  console.log(`${name.padEnd(34)} ${String(perSecond).padStart(7)} rows/s  ${cpuOf}`);
}

for (const round of [1, 2]) {
  const packs: PulledMessage[] = [];
  const receipts: PulledMessage[] = [];
  const held: PulledMessage[] = [];
  for (let i = 0; i < ROWS; i += PACK) {
    const messages = Array.from({ length: PACK }, () => sample.envelope());
    packs.push(pulled(sample.INGRESS_SUBJECT, sample.ingressPack(messages), i + 1));
    const all = messages.map((m) => sample.receiptFor(m, Stage.CONFIRMED));
    receipts.push(pulled(sample.RECEIPT_SUBJECT, sample.receiptBatch(all), i + 1));
    const early = messages.map((m) => sample.receiptFor(m, Stage.HELD));
    held.push(pulled(sample.RECEIPT_SUBJECT, sample.receiptBatch(early), i + 1));
  }
  console.log(`round ${round}: ${ROWS} messages of 256 bytes, packs of ${PACK}, flushes of ${FLUSH}`);
  await measure('history', historySource(store), packs);
  await measure('receipts, first and only', receiptSource({ store, homes: sample.homes() }), receipts);
  await measure('receipts, repeated', receiptSource({ store, homes: sample.homes() }), receipts);
  await measure('history, repeated', historySource(store), packs);
  await measure('receipts, late and earlier stage', receiptSource({ store, homes: sample.homes() }), held);
}
await store.close();
