/** Receipts into PostgreSQL by the delivery service, and the same rows by bare COPY into a table like its own. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { DELIVERY_RECEIPTS, ROUTES_BUCKET, receiptSubject, routeKey } from '@fleetwire/contract';
import { freePort, startPostgres } from '@fleetwire/embedded';
import { encode } from '@fleetwire/gen/encode';
import { Hop, Receipt, ReceiptBatch, Route, Stage } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import { newId, newMessageId, slices } from '@fleetwire/kernel';
import { bootstrapFabric } from '@fleetwire/runtime';
import { type CopyColumn, openStore, type Store } from '@fleetwire/store';
import {
  eventually,
  fabricUser,
  operatorMode,
  type ServiceProcess,
  serviceProcess,
  startTestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { NODE_FLAGS } from '../fabric.ts';
import { round } from '../percentiles.ts';

export interface ReceiptFigures {
  readonly receipts: number;
  readonly receipts_per_s: number;
  readonly raw_copy_rows_per_s: number;
  readonly ratio: number;
}

export interface ReceiptStand {
  /** Once through: receipts, then COPY, each `count`. */
  measure(count: number): Promise<ReceiptFigures>;
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../../services/delivery/src/main.ts', import.meta.url));
const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;
/** As busy nodes publish them. */
const PACK = 32;
/** Publishes under way. */
const IN_FLIGHT = 64;
/** Rows of one COPY: what delivery writes at once under load. */
const COPY_ROWS = 1000;
const DRAINED_MS = 300_000;

/** Its own nats-server and PostgreSQL with their default durability, and the service as a process. */
export async function startReceiptStand(): Promise<ReceiptStand> {
  const folder = tempFolder('bench');
  const open: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const part of open.splice(0).reverse()) await part.stop();
    await folder[Symbol.asyncDispose]();
  };
  try {
    const keys = join(folder.path, 'keys');
    await ensureKeys(keys, { services: [...SERVICES] });
    const nats = await startTestNats({ config: operatorMode(keys) });
    open.push({ stop: async () => nats[Symbol.asyncDispose]() });
    const dir = join(folder.path, 'postgres');
    const postgres = await startPostgres({ dir, port: await freePort(), database: 'fleetwire' });
    open.push(postgres);
    await bootstrapFabric({ keysDir: keys, natsUrls: [nats.url] });
    const env = {
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_DATABASE_URL: postgres.url,
      FLEETWIRE_KEYS_DIR: keys,
      FLEETWIRE_LOG_LEVEL: 'warn',
    };
    const process = { name: 'delivery', main: MAIN, env, flags: NODE_FLAGS, dir: folder.path };
    const service: ServiceProcess = await serviceProcess(process);
    await service.start();
    open.push(service);
    const broker = await connectBroker({
      urls: [nats.url],
      name: 'bench',
      credsFile: await fabricUser(keys),
    });
    open.push({ stop: () => broker.close() });
    const store = await openStore({
      url: postgres.url,
      schema: 'bench',
      entities: [],
      migrations: [],
      poolMax: 2,
      applicationName: 'bench',
    });
    open.push({ stop: () => store.close() });
    await store.query('create table bench.raw (like delivery.settlements including all)');
    const cast = await settle(broker);
    return { measure: (count) => measure(broker, store, cast, count), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Who takes part: an agent, where it lives, and a node that nobody runs, for the receipts to go to. */
interface Cast {
  readonly org: string;
  readonly agent: string;
  readonly node: string;
  readonly toNode: string;
}

/** The routing table says where the agent lives, as the registry would: receipts of other nodes count for nothing. */
async function settle(broker: Broker): Promise<Cast> {
  const cast = { org: newId('org'), agent: newId('agent'), node: newId('node'), toNode: newId('node') };
  const { agent, node } = cast;
  const route = encode(Route, Route.fromPartial({ agent, name: 'bob', node, nodeName: 'far', epoch: 1 }));
  const routes = await broker.bucket(ROUTES_BUCKET);
  await routes.put(routeKey(cast.org, agent), route);
  return cast;
}

async function measure(broker: Broker, store: Store, cast: Cast, count: number): Promise<ReceiptFigures> {
  const receipts = Array.from({ length: count }, () => receiptOf(cast));
  const subject = receiptSubject.build({ org: cast.org, toNode: cast.toNode, from: cast.node });
  const packs = [...slices(receipts, PACK)].map((some) => encode(ReceiptBatch, { receipts: [...some] }));
  const started = performance.now();
  await publishAll(broker, subject, packs);
  await eventually(() => drained(broker), { timeoutMs: DRAINED_MS, everyMs: 20 });
  const receiptsPerS = perSecond(count, started);
  const begun = performance.now();
  for (const rows of slices(receipts, COPY_ROWS)) await store.copy('raw', columnsOf(cast), rows);
  const copied = perSecond(count, begun);
  await store.query('truncate bench.raw');
  return {
    receipts: count,
    receipts_per_s: round(receiptsPerS),
    raw_copy_rows_per_s: round(copied),
    ratio: round(receiptsPerS / copied, 3),
  };
}

const perSecond = (count: number, sinceMs: number): number => (count / (performance.now() - sinceMs)) * 1000;

async function publishAll(broker: Broker, subject: string, packs: readonly Uint8Array[]): Promise<void> {
  const run = newMessageId();
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < packs.length; i = next++)
      await broker.store(subject, packs[i]!, { msgId: `${run}-${i}`, timeoutMs: 30_000 });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

async function drained(broker: Broker): Promise<boolean> {
  const info = await broker.consumers.info(DELIVERY_RECEIPTS.stream, DELIVERY_RECEIPTS.durable_name);
  return info !== undefined && info.numPending === 0 && info.numAckPending === 0;
}

/** As a node tells that an agent has a message. */
function receiptOf({ agent, toNode }: Cast): Receipt {
  const atUs = Date.now() * 1000;
  const hop = (stage: Stage, instance: string, afterUs: number) =>
    Hop.fromPartial({ stage, instance, atUs: atUs + afterUs });
  return Receipt.fromPartial({
    messageId: newMessageId(),
    recipient: agent,
    recipientName: 'bob',
    to: 'bob',
    fromAgent: 'a_0000000000000000',
    stage: Stage.CONFIRMED,
    final: true,
    hops: [
      hop(Stage.ACCEPTED, toNode, 0),
      hop(Stage.ROUTED, 'router-1', 400),
      hop(Stage.HELD, '', 900),
      hop(Stage.DELIVERED, '', 1200),
      hop(Stage.CONFIRMED, '', 2500),
    ],
  });
}

/** What delivery keeps of such a receipt. */
function columnsOf({ org, node }: Cast): readonly CopyColumn<Receipt>[] {
  return [
    { name: 'org', type: 'text', value: () => org },
    { name: 'message_id', type: 'text', value: (r) => r.messageId },
    { name: 'recipient', type: 'text', value: (r) => r.recipient },
    { name: 'stage', type: 'int2', value: (r) => r.stage },
    { name: 'final', type: 'bool', value: () => true },
    { name: 'delivered_ends', type: 'bool', value: () => false },
    { name: 'reason', type: 'text', value: () => '' },
    { name: 'at_us', type: 'int8', value: (r) => r.hops.at(-1)!.atUs },
    { name: 'publishers', type: 'text', value: () => node },
    { name: 'stored_at_us', type: 'int8', value: (r) => r.hops.at(-1)!.atUs },
    { name: 'receipt', type: 'bytea', value: (r) => encode(Receipt, r) },
  ];
}
