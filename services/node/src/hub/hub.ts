/** What flows between the node and its hub: the link, the two publishers and the intake, joined. */

import { availableParallelism, loadavg } from 'node:os';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { trustDigest } from '@fleetwire/identity';
import { asFleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Registration } from '../agents/registration.ts';
import type { OrgTokens } from '../domain/org-tokens.ts';
import type { Engine } from '../engine.ts';
import type { Departures } from '../moving/departures.ts';
import { hearEvent } from './hear-event.ts';
import type { NodeSelf } from './hello.ts';
import { HubLink } from './hub-link.ts';
import type { NodeIdentity, Welcome } from './identity-file.ts';
import { Intake } from './intake.ts';
import type { HubNews } from './link-parts.ts';
import { loadOf } from './machine-facts.ts';
import type { NodeClock } from './node-clock.ts';
import type { NodeKeys } from './node-keys.ts';
import { outboxPublisher } from './outbox-publisher.ts';
import { ReceiptPublisher } from './receipt-publisher.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface HubParts {
  /** Of the node's files. */
  readonly dir: string;
  readonly engine: Engine;
  readonly identity: NodeIdentity;
  readonly door: RegistryDoor;
  readonly registration: Registration;
  readonly clock: NodeClock;
  readonly tokens: OrgTokens;
  readonly departures: Departures;
  readonly log: Logger;
  readonly keys: NodeKeys;
  readonly self: NodeSelf;
  /** What is done about the registry's news; what is not given here is left alone. */
  readonly news?: Partial<HubNews>;
}

export interface Hub {
  readonly link: HubLink;
  start(): void;
  stop(): Promise<void>;
}

/** At stop, how long what was accepted last is given to reach the broker; the rest waits on the disk. */
const FLUSH_MS = 2000;

export function createHub(parts: HubParts): Hub {
  const { dir, engine, identity, door, registration, clock, tokens, log, keys, self, news = {} } = parts;
  const { config, tables, turns, outbox, progress, book, custody, arrivals } = engine;
  const { departures } = parts;
  const { org, node } = identity;
  let intake: Intake | undefined;
  const broker = () => link.broker;
  const failed = (what: string) => (error: unknown) =>
    log.warn({ err: asFleetwireError(error) }, `${what} not published; trying again`);
  const outboxLine = outboxPublisher({
    org,
    node,
    outbox,
    table: tables.outbox,
    turns,
    broker,
    partition: () => door.welcome?.partition,
    failed: failed('messages'),
  });
  const receiptLines = new ReceiptPublisher({
    org,
    node,
    table: tables.receipts,
    turns,
    broker,
    failed: failed('receipts'),
  });
  const publishAll = () => {
    outboxLine.hurry();
    receiptLines.publishAll();
  };
  const catchUp = () => {
    void registration
      .catchUp()
      .catch((error) => log.warn({ err: asFleetwireError(error) }, 'agents not announced'));
  };
  const active = (connection: Broker, welcome: Welcome, fresh: boolean) => {
    publishAll();
    if (fresh) registration.forgotten();
    catchUp();
    if (intake === undefined) openIntake(connection, welcome);
  };
  const openIntake = (connection: Broker, welcome: Welcome) => {
    const { pull_batch: pullBatch, queue_wait_ms: queueWaitMs } = config;
    const openInbox = () => door.openInbox();
    const mail = { book, custody, arrivals, departures, turns };
    const intakeParts = { org, node, ...mail, clock, log, pullBatch, queueWaitMs, openInbox };
    intake = new Intake(intakeParts, connection, welcome.shard);
    intake.start();
  };
  const closeIntake = async () => {
    const ending = intake;
    intake = undefined;
    await ending?.stop();
  };
  const link: HubLink = new HubLink({
    dir,
    identity,
    door,
    clock,
    log,
    keys,
    self,
    node,
    connect: connectBroker,
    heartbeatMs: config.heartbeat_ms,
    timeoutMs: config.hub_timeout_ms,
    natsUrls: config.nats_url === '' ? [] : config.nats_url.split(','),
    agents: () => book.size,
    load: () => {
      const room = book.size * config.queue_messages;
      return loadOf(loadavg()[0]!, availableParallelism(), room === 0 ? 0 : custody.depth / room);
    },
    rosterDiffers: () => news.rosterDiffers?.(),
    syncRevision: (revision) => news.syncRevision?.(revision),
    moving: (list) => news.moving?.(list),
    receipts: (publisher, encoded) => progress.hear(publisher, encoded),
    event: (subject, encoded) => hearEvent(tokens, subject, encoded),
    told: ({ revocations, orgStatus, trustDigest: current, moving }) => {
      tokens.learn(revocations, orgStatus);
      void departures.told(moving).catch(() => undefined); // told again with the next heartbeat
      // Keys were rotated, or one leaked and was dropped.
      if (current !== '' && trustDigest(door.welcome?.trust ?? '') !== current) void door.renewTrust();
    },
    active,
    reconnected: publishAll,
    answered: catchUp,
    changed: async (connection, welcome) => {
      publishAll();
      await closeIntake();
      openIntake(connection, welcome);
    },
    lost: closeIntake,
  });
  engine.outgoings.current = {
    outbox: () => outboxLine.kick(),
    receipts: (row) => receiptLines.publish(row),
  };
  const stop = async () => {
    await outboxLine.drain(FLUSH_MS);
    await Promise.all([outboxLine.stop(), receiptLines.stop(), link.stop(), departures.stop()]);
  };
  const start = () => {
    departures.start();
    link.start();
  };
  return { link, start, stop };
}
