/** The wiring of delivery: three ingest loops, the answers, and the sweep. */

import { type Broker, claimLease, dedupeIds } from '@fleetwire/broker';
import type { Sections } from '@fleetwire/config';
import {
  DELIVERY_DEAD,
  DELIVERY_HISTORY,
  DELIVERY_RECEIPTS,
  LEASE_KEYS,
  LEASES_BUCKET,
  ROUTES_BUCKET,
  STAGE_RULES,
} from '@fleetwire/contract';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import { bindService } from '@fleetwire/rpc';
import type { RunningService, RunOptions, ServiceContext } from '@fleetwire/runtime';
import { defineService, runService } from '@fleetwire/runtime';
import { keptSecret } from '@fleetwire/store';
import { deliveryConfig } from './config.ts';
import { type HistoryModes, historyMode } from './domain/history-mode.ts';
import { Homes } from './domain/homes.ts';
import { type Contradicted, contradicts } from './domain/settlement.ts';
import { Backlog, type WatchedLoop } from './handlers/backlog.ts';
import { conversationHandlers } from './handlers/conversation-rpc.ts';
import { deadLetterSource } from './handlers/dead-letters.ts';
import { DeniedReceipts } from './handlers/denied-receipts.ts';
import { Doubts, ingressProgress } from './handlers/doubts.ts';
import { historySource } from './handlers/history.ts';
import { askHomes, HomesWatch, readHomes } from './handlers/homes-watch.ts';
import { inboxStream } from './handlers/inbox-stream.ts';
import type { IngestLimits, IngestSource } from './handlers/ingest-loop.ts';
import { IngestLoop } from './handlers/ingest-loop.ts';
import type { LetterActsParts } from './handlers/letter-acts.ts';
import { letterHandlers } from './handlers/letter-rpc.ts';
import { LetterTask } from './handlers/letter-task.ts';
import { type EventModes, eventMode, type TellReceived, tellReceived } from './handlers/message-events.ts';
import { messageHandlers } from './handlers/message-rpc.ts';
import { OverdueSweep } from './handlers/overdue-sweep.ts';
import { type Ended, OverflowReport } from './handlers/overflow-report.ts';
import { receiptSource } from './handlers/receipts.ts';
import { createRejectDesk, type RejectDesk } from './handlers/reject-desk.ts';
import { rosterOf } from './handlers/roster.ts';
import { SweepTask } from './handlers/sweep-task.ts';
import { WordIndexer } from './handlers/word-indexer.ts';
import { measureBacklog, measureIngest } from './metrics.ts';
import { DoubtRoom } from './store/doubt-room.ts';
import { entities } from './store/entities.ts';
import { migrations } from './store/migrations.ts';
import { makePartitions, partitionStarts } from './store/partitions.ts';
import { PLANNER } from './store/planner.ts';

const config = { delivery: deliveryConfig } satisfies Sections;
type Context = ServiceContext<typeof config>;

/** The loops are in the order of these. */
const CONSUMERS = [DELIVERY_HISTORY, DELIVERY_RECEIPTS, DELIVERY_DEAD];

export const delivery = defineService({
  name: 'delivery',
  config,
  store: { entities, migrations, settings: PLANNER, asks: true },
  broker: {
    streams: ['INGRESS', 'INBOX', 'RECEIPTS', 'DEAD', 'EVENTS', 'MESSAGES'],
    consumers: CONSUMERS,
    buckets: [LEASES_BUCKET, ROUTES_BUCKET],
  },
  wire: async (context: Context) => {
    const { store, clock } = context;
    // Before anything is written: what falls between partitions has to be moved later.
    await makePartitions(store, nowMs(clock), context.config.delivery.history_days).catch((err: unknown) =>
      context.log.warn({ err: asFleetwireError(err) }, 'partitions cannot be made now: the sweep will'),
    );
    const overflow = overflowReport(context);
    const homes = new Homes(context.config.delivery.former_homes_max);
    const watch = await homesWatch(context, homes);
    const denied = deniedReceipts(context);
    const desk = rejectDesk(context);
    const contradicted = contradictionCounter(context);
    const received = tellReceived(storeOf(context), eventsOf(context));
    const loops = ingestLoops(context, { overflow, homes, received, desk, denied, contradicted });
    const doubts = await doubtsOf(context, { received, desk, denied, contradicted });
    const sweep = await sweepTask(context, homes);
    const indexer = wordIndexer(context, loops[0]!, sweep);
    const backlog = backlogOf(context, loops);
    measureBacklog(context.meter, () => backlog.figures, indexer.stats);
    const { recipients_max, recipients_listed, page_bytes, list_ids } = context.config.delivery;
    const limits = {
      recipientsMax: recipients_max,
      recipientsListed: recipients_listed,
      pageBytes: page_bytes,
      walkedMax: list_ids,
    };
    const { roster, letters, task } = await letterParts(context);
    const messages = messageHandlers({
      store,
      clock,
      limits,
      modes: modesOf(context),
      roster,
      progress: () => backlog.progress,
      starts: partitionStarts(store, clock),
    });
    const handlers = { ...messages, ...conversationHandlers(store, limits), ...letterHandlers(letters) };
    return {
      rpc: [bindService(DeliveryServiceDefinition, handlers)],
      components: [watch, overflow, denied, ...loops, doubts, sweep, indexer, task, backlog],
      health: () => ({
        ingest: Object.fromEntries(
          loops.map((loop) => [loop.name, { ...loop.stats, waiting: loop.waiting }]),
        ),
        sweep: sweep.stats,
        letters: task.stats,
        search: indexer.stats,
        backlog: backlog.figures,
        doubts: doubts.stats,
      }),
    };
  },
});

/** Stores into a stream. */
function storeOf({ broker }: Pick<Context, 'broker'>): Broker['store'] {
  return (subject, payload, options) => broker.store(subject, payload, options);
}

/** Of an org of which nothing is known yet everything is kept. */
function modesOf({ orgs }: Context): HistoryModes {
  return (org) => historyMode(orgs.get(org)?.state.history);
}

/** An org of which nothing is known yet has not asked for anything. */
function eventsOf({ orgs }: Context): EventModes {
  return (org) => eventMode(orgs.get(org)?.state.messageEvents);
}

/** Runs delivery in this process; resolves when it serves. */
export function start(options: RunOptions<typeof config> = {}): Promise<RunningService> {
  return runService(delivery, options);
}

async function homesWatch({ broker, clock, log }: Context, homes: Homes): Promise<HomesWatch> {
  return new HomesWatch({ bucket: await broker.bucket(ROUTES_BUCKET), homes, clock, log });
}

function rejectDesk({ broker, log, meter, clock }: Context): RejectDesk {
  const rejected = meter.createCounter('fleetwire.delivery.rejected');
  return createRejectDesk(broker, log, (reason, number) => rejected.add(number, { reason }), clock);
}

function contradictionCounter({ meter }: Context): Contradicted {
  const refused = meter.createCounter('fleetwire.delivery.second_ends', {
    description: 'ends that were refused because there was another one',
  });
  return (a, b) => {
    if (!contradicts(a, b)) return;
    const [one, other] = [STAGE_RULES[a.stage].name, STAGE_RULES[b.stage].name].sort();
    refused.add(1, { stages: `${one} ${other}` });
  };
}

interface DoubtParts {
  readonly received: TellReceived;
  readonly desk: RejectDesk;
  readonly denied: DeniedReceipts;
  readonly contradicted: Contradicted;
}

async function doubtsOf(context: Context, parts: DoubtParts): Promise<Doubts> {
  const { broker, store, log, config: all } = context;
  const { registry_address: address, lookup_deadline_ms, doubts_interval_ms, doubts_max } = all.delivery;
  const ask =
    address === undefined
      ? readHomes(await broker.bucket(ROUTES_BUCKET))
      : askHomes(context.client(RegistryServiceDefinition, { address }), lookup_deadline_ms);
  const progress = () => ingressProgress(broker);
  const limits = { intervalMs: doubts_interval_ms, limit: doubts_max };
  return new Doubts({ store, ask, progress, ...parts, log, ...limits });
}

interface IngestParts {
  readonly overflow: OverflowReport;
  readonly homes: Homes;
  readonly received: TellReceived;
  readonly desk: RejectDesk;
  readonly denied: DeniedReceipts;
  readonly contradicted: Contradicted;
}

function ingestLoops(context: Context, parts: IngestParts): IngestLoop<never>[] {
  const { overflow, homes, received, desk, denied, contradicted } = parts;
  const { broker, store, log, meter } = context;
  const values = context.config.delivery;
  const room = new DoubtRoom(values.doubts_open_max);
  const limits: IngestLimits = {
    flushMs: values.flush_ms,
    flushBytes: values.flush_bytes,
    flushRows: values.flush_rows,
    pullMessages: values.pull_messages,
    pullBytes: values.pull_bytes,
    backoff: { initialMs: values.retry_initial_ms, maxMs: values.retry_max_ms },
  };
  const wishes = { keep: modesOf(context), tell: eventsOf(context) };
  const stored = (ended: readonly Ended[]) => overflow.stored(ended);
  const loop = <Row>(source: IngestSource<Row>, at = desk) => new IngestLoop(broker, source, limits, at, log);
  const loops = [
    loop(historySource(store, wishes, storeOf(context))),
    loop(receiptSource({ store, homes, room, stored, received, contradicted }), denied.tellOf(desk)),
    loop(deadLetterSource(store, homes, modesOf(context), room)),
  ];
  measureIngest(meter, loops as IngestLoop<unknown>[]);
  return loops as unknown as IngestLoop<never>[];
}

function overflowReport({ broker, clock, log, config: all }: Context): OverflowReport {
  const publish = storeOf({ broker });
  return new OverflowReport({ publish, clock, log, intervalMs: all.delivery.overflow_interval_ms });
}

/** A call leaves its replays to the task only when it ends in the middle. */
const LEAVE_MS = 10_000;

async function letterParts(context: Context) {
  const { broker, store, clock, instance, log, fabric, config: all } = context;
  const { page_bytes: bytesMax, letters_interval_ms: intervalMs } = all.delivery;
  const publish: Broker['store'] = (subject, payload, options) => broker.store(subject, payload, options);
  const ids = dedupeIds(await keptSecret(store, 'replay ids'));
  const desk = { store, clock, publish, ids, instance, partitions: fabric.partitions };
  const audit = { store, publish, ids };
  const roster = rosterOf(await broker.bucket(ROUTES_BUCKET));
  const task = new LetterTask({ desk, audit, clock, log, intervalMs, leaveMs: LEAVE_MS });
  const letters: LetterActsParts = { store, clock, roster, desk, audit, bytesMax };
  return { roster, letters, task };
}

function backlogOf({ broker, clock, log, config }: Context, loops: readonly WatchedLoop[]): Backlog {
  const { backlog_interval_ms, backlog_behind, backlog_log_ms } = config.delivery;
  return new Backlog({
    consumers: broker.consumers,
    loops: loops.map((loop, i) => ({ loop, consumer: CONSUMERS[i]! })),
    clock,
    limits: { intervalMs: backlog_interval_ms, behind: backlog_behind, logMs: backlog_log_ms },
    log,
  });
}

function wordIndexer(
  { store, clock, log, config }: Context,
  history: { readonly stats: { readonly rows: number } },
  sweep: SweepTask,
): WordIndexer {
  const { search_idle_ms, search_busy_rows, search_share_percent } = config.delivery;
  return new WordIndexer({
    store,
    clock,
    log,
    limits: {
      idleMs: search_idle_ms,
      busyRows: search_busy_rows,
      sharePercent: search_share_percent,
    },
    leads: () => sweep.leads,
    written: () => history.stats.rows,
  });
}

function deniedReceipts({ broker, clock, log, config: all }: Context): DeniedReceipts {
  const publish: Broker['store'] = (subject, payload, options) => broker.store(subject, payload, options);
  return new DeniedReceipts({ publish, clock, log, intervalMs: all.delivery.overflow_interval_ms });
}

async function sweepTask(context: Context, homes: Homes): Promise<SweepTask> {
  const { broker, store, clock, instance, log, config: all } = context;
  const values = all.delivery;
  const leases = claimLease(await broker.bucket(LEASES_BUCKET), instance);
  const receiptIds = dedupeIds(await keptSecret(store, 'receipt ids'));
  const overdueLimits = {
    silentMs: values.sweep_silent_ms,
    lookMax: values.sweep_look_max,
  };
  const hasNode = (node: string) => homes.hasNode(node);
  const overdue = { broker, store, receiptIds, clock, instance, hasNode, limits: overdueLimits };
  return new SweepTask({
    overdue: () => new OverdueSweep(overdue),
    acquire: () => leases.acquire(LEASE_KEYS.sweep('delivery')),
    inbox: inboxStream(broker),
    publish: storeOf(context),
    receiptIds,
    store,
    clock,
    instance,
    limits: {
      intervalMs: values.sweep_interval_ms,
      readMax: values.sweep_read_max,
      settleMax: values.sweep_settle_max,
      watchMax: values.sweep_watch_max,
      marginMs: values.sweep_margin_ms,
      rewindMs: values.sweep_rewind_ms,
      historyDays: values.history_days,
      retentionIntervalMs: values.retention_interval_ms,
      retentionRows: values.retention_rows,
      usageIntervalMs: values.usage_interval_ms,
    },
    log,
  });
}
