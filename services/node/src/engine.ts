/** The node's inner works over one database: everything that handlers and the hub link act on, and how it is joined. */

import type { PeerFrame } from '@fleetwire/gen/message';
import type { FleetwireError } from '@fleetwire/kernel';
import type { HopTracer, Logger } from '@fleetwire/telemetry';
import { AgentBook } from './agents/agent-book.ts';
import type { NodeConfig } from './config.ts';
import { Denials } from './domain/denials.ts';
import { Outbox } from './domain/outbox.ts';
import { storedRow } from './domain/outbox-row.ts';
import { RecipientFlows } from './domain/recipient-flow.ts';
import type { NodeIdentity } from './hub/identity-file.ts';
import type { NodeClock } from './hub/node-clock.ts';
import { Acceptance } from './mail/acceptance.ts';
import { AskWatch } from './mail/ask-watch.ts';
import { Backpressure } from './mail/backpressure.ts';
import { Cancels } from './mail/cancels.ts';
import { Custody } from './mail/custody.ts';
import { LetterDesk } from './mail/letter-desk.ts';
import { Mailbox } from './mail/mailbox.ts';
import { Pressure } from './mail/pressure.ts';
import { Progress, type Sift } from './mail/progress.ts';
import { ReceiptDesk } from './mail/receipt-desk.ts';
import { ReceiptLogs } from './mail/receipt-logs.ts';
import { Ticker } from './mail/ticker.ts';
import { NOTHING_KNOWN, type OrgKnowledge, Ways } from './mail/ways.ts';
import { Arrivals } from './moving/arrivals.ts';
import { AgentTable } from './store/agent-table.ts';
import type { Database } from './store/database.ts';
import { DirectoryTable } from './store/directory-table.ts';
import { InboxTable } from './store/inbox-table.ts';
import { LetterTable } from './store/letter-table.ts';
import { MovingTable } from './store/moving-table.ts';
import { OutboxTable } from './store/outbox-table.ts';
import { type ReceiptRow, ReceiptTable } from './store/receipt-table.ts';
import { Turns } from './store/turns.ts';

export interface EngineParts {
  readonly db: Database;
  readonly config: NodeConfig;
  readonly identity: Pick<NodeIdentity, 'node' | 'org' | 'name'>;
  readonly clock: NodeClock;
  readonly tracer: HopTracer;
  readonly log: Logger;
  /** The disk refused: memory and disk may differ, so the node has to start anew. */
  broken(error: FleetwireError): void;
}

/** What the engine has for the broker; the hub link, when there is one, fills these in. */
export interface Outgoings {
  outbox(): void;
  receipts(row: ReceiptRow): void;
  /** A dead letter waits on the disk. */
  letters(): void;
  /** A control frame to another node; one that cannot be sent is given up. */
  frame(toNode: string, frame: PeerFrame): void;
}

export type Engine = ReturnType<typeof createEngine>;

export function createEngine(parts: EngineParts) {
  const { db, config, identity, clock, tracer, log } = parts;
  const tables = {
    agents: new AgentTable(db),
    outbox: new OutboxTable(db),
    inbox: new InboxTable(db),
    receipts: new ReceiptTable(db),
    letters: new LetterTable(db),
    directory: new DirectoryTable(db),
    moving: new MovingTable(db),
  };
  const outgoings: { current: Outgoings } = {
    current: { outbox: () => {}, receipts: () => {}, letters: () => {}, frame: () => {} },
  };
  const { queue_messages: messages, queue_bytes: bytes, queue_drop: drop } = config;
  const queueBounds = { messages, bytes, drop };
  const book = new AgentBook(tables.agents.load(), queueBounds);
  restoreMoving(book, tables.moving);
  const turns: Turns = new Turns(db, {
    beforeCommit: () => {
      custody.dispatch();
      desk.write();
    },
    rolledBack: parts.broken,
  });
  const bounds = { messages: config.progress_messages, waits: config.waits };
  // Nobody is believed until the hub link, when there is one, fills this in.
  const sifting: { current: Sift } = { current: () => [] };
  const sift: Sift = (publisher, receipts, late) => sifting.current(publisher, receipts, late);
  const progress = new Progress(identity.node, bounds, (agent) => book.byId(agent)?.num, sift);
  const receiptLogs = new ReceiptLogs(progress, {
    each: config.receipts_kept,
    all: config.receipts_kept_all,
    keepMs: config.receipts_keep_ms,
  });
  const asks = new AskWatch({ node: identity.node, clock, progress, sift });
  const desk = new ReceiptDesk(identity.node, tables.receipts, turns, {
    publish: (row) => outgoings.current.receipts(row),
    own: (receipts) => {
      progress.absorb(receipts);
      asks.own(receipts);
      backpressure.own(receipts);
    },
  });
  const letters = new LetterDesk({
    node: identity.node,
    table: tables.letters,
    turns,
    bytesMax: config.letters_bytes,
    publish: () => outgoings.current.letters(),
  });
  const pressure = new Pressure({
    node: identity.node,
    nodeName: identity.name,
    clock,
    busyPercent: config.busy_percent,
    readyPercent: config.ready_percent,
    retryMs: config.busy_retry_ms,
    jitterMs: config.ready_jitter_ms,
    recentMs: config.senders_recent_ms,
    sendersMax: config.senders_max,
    random: Math.random,
    frame: (toNode, frame) => outgoings.current.frame(toNode, frame),
    after: (effect) => turns.after(effect),
  });
  const custody: Custody = new Custody({
    clock,
    book,
    agents: tables.agents,
    inbox: tables.inbox,
    moving: tables.moving,
    letters,
    desk,
    pressure,
    turns,
    memoryBytes: config.memory_bytes,
    taken: (entry) => ticker.watch(entry),
  });
  const arrivals = new Arrivals({ book, agents: tables.agents, moving: tables.moving, custody, log });
  const outbox = createOutbox(config);
  const publish = () => outgoings.current.outbox();
  const backpressure = new Backpressure({ clock, outbox, table: tables.outbox, desk, sift, publish });
  const ticker: Ticker = new Ticker({
    clock,
    book,
    custody,
    inbox: tables.inbox,
    outbox: tables.outbox,
    backpressure,
    turns,
    announceMs: config.announce_ms,
    observeMs: config.observe_ms,
    dedupeMs: config.dedupe_ms,
  });
  const knowledge: { current: OrgKnowledge } = { current: NOTHING_KNOWN };
  const denials = new Denials();
  const acceptance = new Acceptance({
    node: identity.node,
    org: identity.org,
    clock,
    tracer,
    progress,
    ways: new Ways({ nodeName: identity.name, book, clock, denials, knowledge }),
    outbox,
    table: tables.outbox,
    custody,
    cancels: new Cancels({ clock, outbox, table: tables.outbox, desk }),
    asks,
    turns,
    publish,
    historySkipped: onceIn(60_000, () =>
      log.warn('too many local messages wait for history; some are left out'),
    ),
  });
  const mailbox = new Mailbox(custody, turns, clock);
  return {
    config,
    identity,
    clock,
    tables,
    outgoings,
    sifting,
    knowledge,
    denials,
    book,
    turns,
    progress,
    receiptLogs,
    asks,
    custody,
    pressure,
    arrivals,
    ticker,
    outbox,
    backpressure,
    acceptance,
    mailbox,
  };
}

function createOutbox(config: NodeConfig): Outbox {
  const flows = new RecipientFlows({
    busyMaxMs: config.busy_max_ms,
    creditLapseMs: config.credit_lapse_ms,
    recipientsMax: config.busy_recipients,
  });
  const messagesPerAgent = config.outbox_messages;
  const bounds = {
    messagesPerAgent,
    messagesPerRecipient: Math.min(config.outbox_recipient_messages, messagesPerAgent),
    bytes: config.outbox_bytes,
    historyMessages: config.history_messages,
  };
  return new Outbox(bounds, flows);
}

/** Who was on its way at the last stop is so still. */
function restoreMoving(book: AgentBook, table: MovingTable): void {
  for (const [num, state] of table.load()) {
    const agent = book.byNum(num);
    if (agent === undefined) continue;
    Object.assign(agent.moving, state);
    if (state.leavingEpoch > 0) book.markLeaving(agent);
    else agent.fence.raise();
  }
}

/** At start: memory as the disk has it. What non-resuming sessions of an earlier run had taken ends unconfirmed. */
export async function loadEngine(engine: Engine): Promise<void> {
  for (const row of engine.tables.outbox.load()) engine.outbox.push(storedRow(row));
  engine.custody.load();
  await engine.turns.run(() => {
    for (const agent of engine.book.present()) {
      const stream = agent.adapter === 'stream' || agent.adapter === 'mailbox';
      if (stream && !agent.resuming) engine.custody.endLostSession(agent);
      if (stream && agent.resuming)
        agent.expectedUntilMs = engine.clock.monotonicMs() + engine.config.return_ms;
    }
    // An agent whose removal was cut short.
    for (const agent of engine.book.removed()) engine.custody.endRemoved(agent);
  });
}

function onceIn(ms: number, act: () => void): () => void {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - last < ms) return;
    last = performance.now();
    act();
  };
}
