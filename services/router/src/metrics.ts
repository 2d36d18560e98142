/** Metrics of what routers did, read when they are exported: nothing is counted twice on the hot path. */

import type { Meter } from '@fleetwire/telemetry';
import type { FlowCounts } from './domain/partition-flow.ts';

const OUTCOMES = ['routed', 'local', 'returned', 'expired', 'dead'] as const;

export interface FlowMetrics {
  /** Adds the counts of a session that has ended. */
  ended(counts: FlowCounts): void;
}

/** `live` gives the load of each partition held now. */
export function flowMetrics(
  meter: Meter,
  live: () => readonly ({ readonly entries: number; readonly lag_ms: number } & FlowCounts)[],
): FlowMetrics {
  const before: FlowCounts = { routed: 0, local: 0, returned: 0, expired: 0, dead: 0 };
  const messages = meter.createObservableCounter('fleetwire.router.messages', {
    description: 'Messages that a router has dealt with, by outcome',
    unit: '{message}',
  });
  messages.addCallback((result) => {
    for (const outcome of OUTCOMES) {
      const now = live().reduce((sum, load) => sum + load[outcome], before[outcome]);
      result.observe(now, { outcome });
    }
  });
  const entries = meter.createObservableGauge('fleetwire.router.entries', {
    description: 'Envelopes in the memory of a router',
    unit: '{message}',
  });
  entries.addCallback((result) => result.observe(live().reduce((sum, load) => sum + load.entries, 0)));
  const lag = meter.createObservableGauge('fleetwire.router.lag', {
    description: 'How far the slowest partition of a router is behind its ingress',
    unit: 'ms',
  });
  lag.addCallback((result) => result.observe(Math.max(0, ...live().map((load) => load.lag_ms))));
  return {
    ended(counts) {
      for (const outcome of OUTCOMES) before[outcome] += counts[outcome];
    },
  };
}

/** `now` gives the agents in the routing table, and how often it was read again after a hole. */
export function routesMetrics(
  meter: Meter,
  now: () => { readonly agents: number; readonly resyncs: number },
): void {
  const routes = meter.createObservableGauge('fleetwire.router.routes', {
    description: 'Agents in the routing table of a router',
    unit: '{agent}',
  });
  routes.addCallback((result) => result.observe(now().agents));
  const resyncs = meter.createObservableCounter('fleetwire.router.resyncs', {
    description: 'Times that a router has read its routing table again, after a hole or a lost connection',
    unit: '{reading}',
  });
  resyncs.addCallback((result) => result.observe(now().resyncs));
}

export interface RefusalFigures {
  /** Messages by reason. */
  readonly refusals: ReadonlyMap<string, number>;
  /** PEER_BUSY by reason. */
  readonly frames: Readonly<Record<string, number>>;
  /** Events about denied messages. */
  readonly denials: { readonly told: number; readonly dropped: number };
}

/** What was refused, and who was told to hold back. */
export function refusalMetrics(meter: Meter, now: () => RefusalFigures): void {
  const refusals = meter.createObservableCounter('fleetwire.router.refusals', {
    description: 'Messages that a router has refused, by reason',
    unit: '{message}',
  });
  refusals.addCallback((result) => {
    for (const [reason, count] of now().refusals) result.observe(count, { reason });
  });
  const frames = meter.createObservableCounter('fleetwire.router.busy_frames', {
    description: 'Times that a router has told a node to hold back, by reason',
    unit: '{frame}',
  });
  frames.addCallback((result) => {
    for (const [reason, count] of Object.entries(now().frames)) result.observe(count, { reason });
  });
  const denials = meter.createObservableCounter('fleetwire.router.denial_events', {
    description: 'Events about denied messages, by whether EVENTS has taken them',
    unit: '{event}',
  });
  denials.addCallback((result) => {
    const { told, dropped } = now().denials;
    result.observe(told, { outcome: 'told' });
    result.observe(dropped, { outcome: 'dropped' });
  });
}

/** `now` gives what the last look at the ingress stream has found. */
export function ingressMetrics(
  meter: Meter,
  now: () => { readonly percent: number; readonly over_budget: number },
): void {
  const full = meter.createObservableGauge('fleetwire.router.ingress.fullness', {
    description:
      'How full the ingress stream is, of the bytes that it may hold; full, all senders are refused',
    unit: '%',
  });
  full.addCallback((result) => result.observe(now().percent));
  const over = meter.createObservableGauge('fleetwire.router.ingress.over_budget', {
    description: 'Orgs that hold more of the ingress stream than their budget',
    unit: '{org}',
  });
  over.addCallback((result) => result.observe(now().over_budget));
}
