/** Joins what moves agents: the desk that the calls use, and the mover. */

import { type Broker, claimLease, dedupeIds } from '@fleetwire/broker';
import { LEASE_KEYS, LEASES_BUCKET } from '@fleetwire/contract';
import type { Clock } from '@fleetwire/kernel';
import { keptSecret, type Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import type { LastSeen } from '../domain/liveness.ts';
import { Silence } from '../domain/silence.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows } from '../store/agents.ts';
import { moveRows } from '../store/moves.ts';
import { lateMail, type MoveParts, stepMove } from './move-steps.ts';
import { Mover } from './mover.ts';
import { liveRouters, notFlushed } from './router-flush.ts';

export interface MovingDesk extends MoveParts {
  readonly mover: Mover;
  /** Something has changed about a move. */
  wake(): void;
}

export interface MovingSetup {
  readonly broker: Broker;
  readonly store: Store;
  readonly agents: AgentRows;
  readonly routes: RouteTable;
  readonly lastSeen: LastSeen;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: RegistryConfig;
  readonly instance: string;
}

export async function movingDesk(setup: MovingSetup): Promise<MovingDesk> {
  const { broker, agents, routes, lastSeen, clock, log, config, instance } = setup;
  const moves = moveRows(setup.store);
  const store: Broker['store'] = (subject, payload, o) => broker.store(subject, payload, o);
  const receiptIds = dedupeIds(await keptSecret(setup.store, 'receipt ids'));
  const mail = {
    messages: broker.messages,
    streams: broker.streams,
    store,
    receiptIds,
    clock,
    instance,
    log,
  };
  const silence = new Silence(clock, Math.min(2 * config.liveness_ms, config.move_lost_ms));
  broker.onDisconnect(() => silence.break());
  const parts: MoveParts = { moves, agents, routes, lastSeen, silence, mail, store, clock, config };
  const bucket = await broker.bucket(LEASES_BUCKET);
  const leases = claimLease(bucket, instance);
  const asking = { bucket, leases, broker, timeoutMs: config.move_flush_ms };
  const mover = new Mover({
    moves,
    acquire: () => leases.acquire(LEASE_KEYS.sweep('registry-moves')),
    step: (move, flushed, mayGoOn) => stepMove(parts, move, flushed, mayGoOn),
    late: (move, mayGoOn) => lateMail(parts, move, mayGoOn),
    routers: () => liveRouters(asking),
    hadBreak: () => silence.break(),
    notFlushed: (routers, request) => notFlushed(asking, routers, request),
    clock,
    log,
    config,
  });
  return { ...parts, mover, wake: () => mover.wake() };
}
