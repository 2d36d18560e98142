/**
 * Measures the whole service as a process of its own: `node services/delivery/test/measure-service.ts [messages]`.
 * Prints messages a second and microseconds of its CPU a message (one ingress row and one final receipt each), for
 * packs of 32 and for packs of one.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connectBroker } from '@fleetwire/broker';
import { DELIVERY_HISTORY, DELIVERY_RECEIPTS } from '@fleetwire/contract';
import { Stage } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import { bootstrapFabric } from '@fleetwire/runtime';
import { eventually, startOwnPostgres, startTestNats, tempFolder } from '@fleetwire/testkit';
import * as sample from './sample-traffic.ts';

const MESSAGES = Number(process.argv[2] ?? 60_000);
const TICK_US = 10_000;

await using nats = await startTestNats();
await using postgres = await startOwnPostgres({});
await using keys = tempFolder('keys');
const broker = await connectBroker({ urls: [nats.url], name: 'measure', waitMs: 5000 });
await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1 });
await broker.consumers.remove('INGRESS', 'router-p0-e0');
await sample.putRoutes(broker);
await ensureKeys(keys.path, { services: ['org', 'registry', 'router', 'delivery'] });

const child = spawn(process.execPath, [new URL('../src/main.ts', import.meta.url).pathname], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    PATH: process.env['PATH'],
    FLEETWIRE_NATS_URL: nats.url,
    FLEETWIRE_NATS_SINGLE_TENANT: 'true',
    FLEETWIRE_DATABASE_URL: postgres.url,
    FLEETWIRE_KEYS_DIR: keys.path,
    FLEETWIRE_LOG_LEVEL: 'warn',
  },
});

/** User and system time of the service so far. */
function cpuUs(): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

async function drained(): Promise<boolean> {
  for (const { stream, durable_name } of [DELIVERY_HISTORY, DELIVERY_RECEIPTS]) {
    const info = await broker.consumers.info(stream, durable_name);
    if (info === undefined || info.numPending > 0 || info.numAckPending > 0) return false;
  }
  return true;
}

async function measure(size: number, count: number): Promise<void> {
  const payloads: [string, Uint8Array][] = [];
  for (let i = 0; i < count; i += size) {
    const messages = Array.from({ length: size }, () => sample.envelope());
    payloads.push([sample.INGRESS_SUBJECT, sample.ingressPack(messages)]);
    const receipts = messages.map((m) => sample.receiptFor(m, Stage.CONFIRMED));
    payloads.push([sample.RECEIPT_SUBJECT, sample.receiptBatch(receipts)]);
  }
  const cpu = cpuUs();
  const started = performance.now();
  let next = 0;
  const publisher = async () => {
    for (let i = next++; i < payloads.length; i = next++) {
      const [subject, payload] = payloads[i]!;
      await broker.store(subject, payload, { msgId: `${started}-${i}`, timeoutMs: 30_000 });
    }
  };
  await Promise.all(Array.from({ length: 64 }, publisher));
  await eventually(drained, { timeoutMs: 120_000, everyMs: 25 });
  const ms = performance.now() - started;
  const perSecond = Math.round((count / ms) * 1000);
  const each = ((cpuUs() - cpu) / count).toFixed(1);
  const packs = `packs of ${size}`.padEnd(12);
  console.log(
    `${packs} ${count} messages: ${perSecond} messages/s, ${each} us of the service's CPU a message`,
  );
}

await eventually(async () => {
  const info = await broker.consumers.info('RECEIPTS', DELIVERY_RECEIPTS.durable_name);
  return info !== undefined && cpuUs() > 300_000;
});
await measure(32, 6400);
for (const round of [1, 2]) {
  console.log(`round ${round}`);
  await measure(32, MESSAGES);
  await measure(1, Math.round(MESSAGES / 4));
}
child.kill('SIGTERM');
await new Promise((resolve) => child.once('exit', resolve));
await broker.close();
