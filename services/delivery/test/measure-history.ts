/**
 * Measures what asking history costs: `node services/delivery/test/measure-history.ts [messages] [rounds] [passes]`, JSON
 * on stdout.
 * Several orgs, 30 days of ids, threads up to a tenth of all messages, words that 10, 1,000 and 100,000 messages have (of
 * 1,000,000; fewer in proportion), written and indexed by the service's own code into a PostgreSQL as the product starts
 * it. Then the service is started on it and asked over gRPC, and its store beside that: medians, and how many look-ups by
 * primary key each takes.
 */

import { connectBroker } from '@fleetwire/broker';
import { freePort, startPostgres } from '@fleetwire/embedded';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { createTokenSigner, ensureKeys } from '@fleetwire/identity';
import { messageIdTime, newId, systemClock } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { bootstrapFabric } from '@fleetwire/runtime';
import { openStore, type Store } from '@fleetwire/store';
import { randomOf, startTestNats, tempFolder } from '@fleetwire/testkit';
import { wordQuery } from '../src/domain/word-query.ts';
import { historySource } from '../src/handlers/history.ts';
import { receiptSource } from '../src/handlers/receipts.ts';
import { start } from '../src/service.ts';
import { entities } from '../src/store/entities.ts';
import { listMessages, type MessageFilter } from '../src/store/message-list.ts';
import { findMessage } from '../src/store/message-table.ts';
import { migrations } from '../src/store/migrations.ts';
import { makePartitions, partitionStarts } from '../src/store/partitions.ts';
import { PLANNER } from '../src/store/planner.ts';
import { findSettlements } from '../src/store/settlement-table.ts';
import { indexNext, tidyWords } from '../src/store/word-table.ts';
import * as sample from './sample-traffic.ts';

const MESSAGES = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = Number(process.argv[3] ?? 60);
const PASSES = Number(process.argv[4] ?? 1);
const SEED = 7;
const DAY_MS = 86_400_000;
const DAYS = 30;
const BATCH = 1000;
const VOCABULARY = 20_000;
/** Messages of 1,000,000 that have the word. */
const HITS = { tenfold: 10, thousandfold: 1000, hundredthousandfold: 100_000 };

const random = randomOf(SEED);
const say = (text: string) => process.stderr.write(`${text}\n`);
const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
const syllables = [
  'ba',
  'ke',
  'lo',
  'mi',
  'nu',
  'ra',
  'se',
  'ti',
  'vo',
  'za',
  'cor',
  'den',
  'fil',
  'gan',
  'hup',
];
const vocabulary = Array.from({ length: VOCABULARY }, (_, i) => {
  let word = '';
  for (let n = i + 17; n > 0; n = Math.floor(n / syllables.length)) word += syllables[n % syllables.length];
  return word;
});
/** Most of what is written is a few words again and again. */
const anyWord = () => vocabulary[Math.floor(VOCABULARY ** (random(1_000_000) / 1_000_000)) - 1]!;

const nowMs = Date.now();
const stepMs = (DAYS * DAY_MS) / MESSAGES;
const orgs = [sample.ORG, ...Array.from({ length: 4 }, () => newId('org'))];
const threads = { long: newThread(), middle: Array.from({ length: 50 }, newThread) };
const agents = Array.from({ length: 40 }, () => newId('agent'));

function newThread(): string {
  return idAt(nowMs - DAYS * DAY_MS);
}

function idAt(ms: number): string {
  return (
    messageIdTime(ms) +
    Array.from({ length: 16 }, () => '0123456789abcdefghjkmnpqrstvwxyz'[random(32)]).join('')
  );
}

/** Of every ten messages eight are the first org's, where all that is looked for is. */
const orgOf = (i: number) => (i % 5 === 4 ? orgs[1 + (Math.floor(i / 5) % 4)]! : orgs[0]!);

/** Every so many messages one has the word; all of them of the first org. */
function markersOf(i: number): string[] {
  return Object.entries(HITS).flatMap(([word, hits]) => (i % (1_000_000 / hits) === 2 ? [word] : []));
}

function messageOf(i: number) {
  const id = idAt(nowMs - (MESSAGES - i) * stepMs);
  const words = [...Array.from({ length: 32 }, anyWord), ...markersOf(i)];
  const text = `${words.join(' ')} in src/${anyWord()}/${anyWord()}.ts: connection ${i % 97 === 2 ? 'refused' : 'kept'}`;
  // One in ten is of the long thread; every second of the others answers in a thread of some thousand.
  const correlationId = i % 10 === 0 ? threads.long : i % 2 === 0 ? pick(threads.middle) : id;
  const who = { org: orgOf(i), fromAgent: pick(agents) };
  const acceptedAtUs = Math.floor(nowMs - (MESSAGES - i) * stepMs) * 1000;
  return sample.envelope({ id, ...who, correlationId, acceptedAtUs, body: Buffer.from(text) });
}

async function fill(store: Store): Promise<void> {
  const history = historySource(store);
  const receipts = receiptSource({ store, homes: sample.ANYBODY });
  await makePartitions(store, nowMs - DAYS * DAY_MS, DAYS);
  await makePartitions(store, nowMs, DAYS);
  for (let i = 0; i < MESSAGES; i += BATCH) {
    const messages = Array.from({ length: Math.min(BATCH, MESSAGES - i) }, (_, k) => messageOf(i + k));
    for (const [org, some] of Map.groupBy(messages, (message) => message.org)) {
      const pack = sample.pulled(
        sample.ingressSubjectOf(org),
        sample.ingressPack(some),
        some[0]!.acceptedAtUs,
      );
      await history.save(history.combine([...history.read(pack).rows]));
      const all = some.map((message) =>
        sample.receiptFor(message, Stage.CONFIRMED, { recipient: pick(agents) }),
      );
      const settled = sample.pulled(
        sample.receiptSubjectOf(org),
        sample.receiptBatch(all),
        some[0]!.acceptedAtUs,
      );
      await receipts.save(receipts.combine([...receipts.read(settled).rows]));
    }
    if (i % 100_000 === 0) say(`${i} messages written`);
  }
}

async function index(store: Store): Promise<number> {
  const started = performance.now();
  let indexed = 0;
  for (let more = true, next = 0; more; ) {
    const { messages } = await indexNext(store);
    more = messages > 0;
    indexed += messages;
    if (indexed < next) continue;
    say(`${indexed} messages indexed`);
    next += 100_000;
  }
  await tidyWords(store);
  return Math.round((indexed / (performance.now() - started)) * 1000);
}

async function median(work: (round: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = -5; round < ROUNDS; round++) {
    const started = performance.now();
    await work(round);
    if (round >= 0) times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}

type Asked = Partial<Pick<MessageFilter, 'correlationId' | 'fromAgent' | 'recipient'>> & {
  text?: string;
  hits?: number;
};

const questions: Record<string, Asked> = {
  'newest of the org': {},
  'thread of a tenth of all': { correlationId: threads.long },
  'thread of some thousand': { correlationId: threads.middle[0]! },
  'from an agent': { fromAgent: agents[0]! },
  'to a recipient': { recipient: agents[0]! },
  ...Object.fromEntries(
    Object.entries(HITS).map(([word, hits]) => [`text with ${hits} hits in 1,000,000`, { text: word }]),
  ),
  'phrase "connection refused"': { text: '"connection refused"' },
  'text that nobody wrote': { text: 'qqqq' },
};

const EMPTY = { correlationId: '', fromAgent: '', recipient: '', to: '' };
const bounds = { rows: 50, bytes: 4_194_304, walked: 50_000 };

async function measureStore(store: Store, ids: readonly string[]): Promise<Figures> {
  const org = orgs[0]!;
  const starts = partitionStarts(store, systemClock);
  const lookUp = await median((round) => findMessage(store, org, ids[(round + 5) % ids.length]!));
  const asked = await measureEach(async ({ text = '', ...keys }) => {
    const words = text === '' ? '' : wordQuery(org, text);
    const filter = { ...EMPTY, stage: Stage.UNSPECIFIED, from: '', below: '', words, ...keys };
    return (await listMessages(store, org, filter, await starts(), Date.now(), bounds)).rows.length;
  });
  const both = await median((round) => findSettlements(store, org, [ids[(round + 5) % ids.length]!], 10_000));
  return figuresOf(lookUp, asked, { 'settlements of one': both });
}

interface Figures {
  readonly look_up_ms: number;
  readonly [question: string]: unknown;
}

type Timed = Record<string, { ms: number; rows: number }>;

async function measureEach(ask: (of: Asked) => Promise<number>): Promise<Timed> {
  const found: Timed = {};
  for (const [name, of] of Object.entries(questions)) {
    let rows = 0;
    const ms = await median(async () => {
      rows = await ask(of);
    });
    found[name] = { ms, rows };
  }
  return found;
}

function figuresOf(lookUp: number, asked: Timed, more: Record<string, number> = {}): Figures {
  const round = (value: number) => Math.round(value * 100) / 100;
  const all = {
    ...asked,
    ...Object.fromEntries(Object.entries(more).map(([name, ms]) => [name, { ms, rows: 1 }])),
  };
  const shown = Object.entries(all).map(([name, { ms, rows }]) => {
    return [name, { ms: round(ms), look_ups: round(ms / lookUp), rows }] as const;
  });
  return { look_up_ms: round(lookUp), ...Object.fromEntries(shown) };
}

await using folder = tempFolder('measure-history');
const postgres = await startPostgres({
  dir: `${folder.path}/pg`,
  port: await freePort(),
  database: 'fleetwire',
});
const options = {
  url: postgres.url,
  schema: 'delivery',
  entities,
  migrations,
  settings: PLANNER,
  poolMax: 6,
  asks: true,
};
const store = await openStore({ ...options, applicationName: 'measure', statementMs: 600_000 });
const started = performance.now();
await fill(store);
const writtenPerS = Math.round((MESSAGES / (performance.now() - started)) * 1000);
const indexedPerS = await index(store);
say(`written ${writtenPerS}/s with receipts, indexed ${indexedPerS}/s`);
const wanted = await store.query<{ id: string }>(
  'select id from messages where org = $1 and random() < 0.01 limit 200',
  [orgs[0]],
);
const ids = wanted.map(({ id }) => id);
if (process.env['ANALYZE'] !== undefined) await store.query('analyze');
const byStore: Figures[] = [];
for (let i = 0; i < PASSES; i++) byStore.push(await measureStore(store, ids));

await using nats = await startTestNats();
const keysDir = `${folder.path}/keys`;
const broker = await connectBroker({ urls: [nats.url], name: 'measure', waitMs: 5000 });
await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1 });
await ensureKeys(keysDir, { services: ['org', 'registry', 'router', 'delivery'] });
const service = await start({
  env: {},
  overrides: {
    common: { instance: 'measured', log_level: 'silent' },
    nats: { url: nats.url, single_tenant: true },
    database: { url: postgres.url },
    keys: { dir: keysDir },
  },
});
const signer = await createTokenSigner(keysDir, 'org');
const { token } = await signer.sign({ sub: newId('user'), org: orgs[0]!, scopes: [], lifetimeMs: 3_600_000 });
const client = createRpcClient(DeliveryServiceDefinition, { address: service.address, token: () => token });
const byCall: Figures[] = [];
for (let i = 0; i < PASSES; i++) {
  const lookUp = await median((round) => client.getMessage({ id: ids[(round + 5) % ids.length]! }));
  const ask = async ({ hits: _hits, ...of }: Asked) =>
    (await client.listMessages({ pageSize: 50, ...of })).messages.length;
  byCall.push(figuresOf(lookUp, await measureEach(ask)));
}
const size = await store.query<{ table: string; bytes: number }>(
  `select p.relname as table, sum(pg_total_relation_size(c.oid))::bigint as bytes from pg_inherits i
   join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent and p.relkind = 'p' group by 1`,
);
const bytes = Object.fromEntries(size.map((row) => [row.table, Math.round(row.bytes / MESSAGES)]));
const document = {
  messages: MESSAGES,
  written_per_s: writtenPerS,
  indexed_per_s: indexedPerS,
  bytes_a_message: bytes,
};
process.stdout.write(
  `${JSON.stringify({ ...document, by_call: byCall, by_store: byStore }, undefined, 1)}\n`,
);
client.close();
await service.stop();
await broker.close();
await store.close();
await postgres.stop();
