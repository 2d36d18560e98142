/** What flows between the node and its hub: the link, the two publishers and the intake, joined. */

import { availableParallelism, loadavg } from 'node:os';
import { type Broker, connectBroker, dedupeIds } from '@fleetwire/broker';
import { peerSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { PeerFrame } from '@fleetwire/gen/message';
import { trustDigest } from '@fleetwire/identity';
import { asFleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Registration } from '../agents/registration.ts';
import type { OrgTokens } from '../domain/org-tokens.ts';
import { type Busy, type Ready, ROUTER } from '../domain/peer-signal.ts';
import type { Engine } from '../engine.ts';
import { ReceiptGate } from '../mail/receipt-gate.ts';
import type { Departures } from '../moving/departures.ts';
import type { Directory } from './directory.ts';
import { hearEvent } from './hear-event.ts';
import type { Greeting, NodeSelf } from './hello.ts';
import { HubLink } from './hub-link.ts';
import type { Welcome } from './identity-file.ts';
import { Intake } from './intake.ts';
import { letterPublisher } from './letter-publisher.ts';
import { loadOf } from './machine-facts.ts';
import type { NodeKeys } from './node-keys.ts';
import { outboxPublisher } from './outbox-publisher.ts';
import type { OrgPolicies } from './policies.ts';
import { ReceiptPublisher } from './receipt-publisher.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface HubParts {
  /** Of the node's files. */
  readonly dir: string;
  readonly engine: Engine;
  readonly door: RegistryDoor;
  readonly registration: Registration;
  readonly tokens: OrgTokens;
  readonly departures: Departures;
  readonly directory: Directory;
  readonly policies: OrgPolicies;
  readonly log: Logger;
  readonly keys: NodeKeys;
  readonly self: NodeSelf;
}

export interface Hub {
  readonly link: HubLink;
  start(): void;
  stop(): Promise<void>;
}

/** At stop, how long what was accepted last is given to reach the broker; the rest waits on the disk. */
const FLUSH_MS = 2000;

export function createHub(parts: HubParts): Hub {
  const { dir, engine, door, registration, tokens, departures, directory, policies, log, keys, self } = parts;
  const { identity, clock, config, tables, turns, outbox, progress, book, custody, arrivals } = engine;
  const { backpressure, pressure, asks } = engine;
  const { org, node } = identity;
  let intake: Intake | undefined;
  const ids = dedupeIds(tables.agents.secret());
  const broker = () => link.broker;
  const failed = (what: string) => (error: unknown) =>
    log.warn({ err: asFleetwireError(error) }, `${what} not published; trying again`);
  const outboxLine = outboxPublisher({
    org,
    node,
    outbox,
    table: tables.outbox,
    turns,
    ids,
    broker,
    partition: () => door.welcome?.partition,
    failed: failed('messages'),
    nowMs: () => clock.monotonicMs(),
  });
  const receiptLines = new ReceiptPublisher({
    org,
    node,
    table: tables.receipts,
    turns,
    ids,
    broker,
    failed: failed('receipts'),
  });
  const letterLine = letterPublisher({
    org,
    node,
    table: tables.letters,
    turns,
    ids,
    broker,
    failed: failed('dead letters'),
  });
  const publishAll = () => {
    outboxLine.hurry();
    letterLine.hurry();
    receiptLines.publishAll();
  };
  const catchUp = () => {
    void registration
      .catchUp()
      .catch((error) => log.warn({ err: asFleetwireError(error) }, 'agents not announced'));
  };
  const active = (connection: Broker, { welcome, rosterDiffers }: Greeting, fresh: boolean) => {
    publishAll();
    void policies.greeted();
    if (fresh) registration.forgotten();
    catchUp();
    if (rosterDiffers) registration.rosterDiffers();
    if (intake === undefined) openIntake(connection, welcome);
  };
  const openIntake = (connection: Broker, welcome: Welcome) => {
    const overflow = {
      waitMs: config.queue_wait_ms,
      messages: config.overflow_messages,
      bytes: config.overflow_bytes,
      packs: config.overflow_packs,
    };
    const openInbox = () => door.openInbox();
    const mail = { book, custody, pressure, arrivals, departures, turns };
    const intakeParts = { org, node, ...mail, clock, log, pullBatch: config.pull_batch, overflow, openInbox };
    intake = new Intake(intakeParts, connection, welcome.shard);
    intake.start();
  };
  const closeIntake = async () => {
    const ending = intake;
    intake = undefined;
    await ending?.stop();
  };
  const gate = new ReceiptGate({
    isHome: (agent, home) => directory.isHome(agent, home),
    ask: (request) => door.agentHomes(request),
    acceptedAtUs: (id) => tables.outbox.findSent(id)?.acceptedAtUs,
    log,
    waitingMax: config.receipts_waiting,
  });
  engine.sifting.current = gate.sift;
  const link: HubLink = new HubLink({
    dir,
    org,
    node,
    door,
    clock,
    log,
    keys,
    self,
    denials: engine.denials,
    connect: connectBroker,
    heartbeatMs: config.heartbeat_ms,
    timeoutMs: config.hub_timeout_ms,
    natsUrls: config.nats_url === '' ? [] : config.nats_url.split(','),
    agents: () => book.size,
    load: () => {
      const room = book.size * config.queue_messages;
      return loadOf(loadavg()[0]!, availableParallelism(), room === 0 ? 0 : custody.depth / room);
    },
    receipts: (publisher, encoded) => {
      progress.hear(publisher, encoded);
      asks.hear(publisher, encoded);
      backpressure.receipts(publisher, encoded);
    },
    pressure: (signal) => {
      if (!isForged(signal, directory)) backpressure.hear(signal);
    },
    event: (subject, encoded) => hearEvent(tokens, subject, encoded),
    told: async ({ revocations, orgStatus, trustDigest: current, moving }) => {
      tokens.learn(revocations, orgStatus);
      // Keys were rotated, or one leaked and was dropped.
      if (current !== '' && trustDigest(door.welcome?.trust ?? '') !== current) void door.renewTrust();
      // The roster that may follow has them no more.
      await departures.told(moving);
    },
    active,
    reconnected: publishAll,
    answered: ({ rosterDiffers, syncRevision, accessVersion }) => {
      catchUp();
      if (rosterDiffers) registration.rosterDiffers();
      void directory.told(syncRevision);
      void policies.told(accessVersion);
    },
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
    letters: () => letterLine.kick(),
    frame: (toNode, frame) => {
      const to = broker();
      if (to?.connected() === true)
        to.publish(peerSubject.build({ org, to: toNode, from: node }), encode(PeerFrame, frame));
    },
  };
  const stop = async () => {
    await outboxLine.drain(FLUSH_MS);
    await Promise.all([
      outboxLine.stop(),
      receiptLines.stop(),
      letterLine.stop(),
      link.stop(),
      departures.stop(),
      gate.stop(),
    ]);
  };
  const start = () => {
    departures.start();
    link.start();
  };
  return { link, start, stop };
}

/** A node speaks of an agent that is known to live elsewhere. One that has just moved is heard once the hub has told of it. */
function isForged({ publisher, name }: Busy | Ready, directory: Pick<Directory, 'livesElsewhere'>): boolean {
  return publisher !== ROUTER && directory.livesElsewhere(name, publisher);
}
