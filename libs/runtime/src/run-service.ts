/** Runs a service: opens its parts in order, serves, and closes them in reverse; several can share a process. */

import {
  type Environment,
  keysFolder,
  loadConfig,
  type Overrides,
  otelSettings,
  type Sections,
} from '@fleetwire/config';
import { FleetwireError, systemClock } from '@fleetwire/kernel';
import { type DestinationStream, startTelemetry, type Telemetry } from '@fleetwire/telemetry';
import { brokerPart } from './broker-part.ts';
import { countBuffersAsHeap } from './collector.ts';
import { createContext, type Opened } from './context.ts';
import { openServiceStore } from './dependencies.ts';
import { Lifecycle } from './lifecycle.ts';
import { OrgDirectory, tokenRefusal } from './org-directory.ts';
import { type ProcessHandle, takeProcess } from './process.ts';
import { rpcPart } from './rpc-part.ts';
import type { Component, ServiceConfig, ServiceDefinition, StandardSections, Wiring } from './service.ts';
import { standardSections } from './service.ts';
import { openIdentity } from './service-identity.ts';
import { tenancyFault } from './tenancy.ts';
import { instanceName, VERSION } from './version.ts';

export interface RunOptions<C extends Sections = Sections> {
  /** The process's environment unless given. */
  readonly env?: Environment | undefined;
  readonly overrides?: Overrides<StandardSections & C> | undefined;
  /** For `main.ts`: react to SIGTERM and SIGINT, report a failed start on stderr, and exit. Default false. */
  readonly handleSignals?: boolean | undefined;
  /** Where log lines go; standard output unless given. */
  readonly logStream?: DestinationStream | undefined;
}

/** Between two looks at whether a service can do its work. */
const SERVING_MS = 1000;

export interface RunningService {
  readonly name: string;
  /** What clients connect to. */
  readonly address: string;
  /** Figures of the service, for status pages. */
  health(): Record<string, unknown>;
  /** Ends the service in good order within the grace and force times; rejects with its fault if it has one. */
  stop(): Promise<void>;
  /** Resolves when the service was stopped, rejects with FleetwireError when it failed. */
  readonly stopped: Promise<void>;
}

/**
 * Resolves when the service is ready. When the start fails, everything that was opened is closed before it rejects;
 * with `handleSignals` the process then exits instead, with the code of the error's kind.
 */
export async function runService<C extends Sections>(
  definition: ServiceDefinition<C>,
  options: RunOptions<C> = {},
): Promise<RunningService> {
  const handle = options.handleSignals === true ? takeProcess(definition.name) : undefined;
  countBuffersAsHeap();
  try {
    return await start(definition, options, handle);
  } catch (error) {
    if (handle) return handle.exitWith(error);
    throw error;
  }
}

async function start<C extends Sections>(
  definition: ServiceDefinition<C>,
  options: RunOptions<C>,
  handle: ProcessHandle | undefined,
): Promise<RunningService> {
  const { env } = options;
  const sections = { ...standardSections, ...definition.config };
  const config = loadConfig(sections, { env, overrides: options.overrides as never }) as ServiceConfig<C>;
  const instance = instanceName(definition.name, config.common.instance);
  const telemetry = startTelemetry({
    service: definition.name,
    instance,
    version: VERSION,
    level: config.common.log_level,
    stream: options.logStream,
    otlp: { ...otelSettings(env), metricsIntervalMs: config.telemetry.metrics_interval_ms },
  });
  const { log } = telemetry;
  const life = new Lifecycle({
    graceMs: config.lifecycle.grace_ms,
    forceMs: config.lifecycle.force_ms,
    report: (line, fields) => log.info(fields, line),
  });
  handle?.attach(life, log);
  try {
    await life.open(
      'telemetry',
      () => telemetry,
      (opened) => opened.shutdown(),
    );
    const opening = openParts(definition, config, telemetry, life, instance, env);
    const running = await Promise.race([opening, endedEarly(life)]);
    life.serve();
    log.info({ address: running.address }, 'ready');
    handle?.exitWhenEnded(life);
    return running;
  } catch (error) {
    life.fail(error);
    await life.ended;
    throw error;
  }
}

/** A part that hangs while it starts must not keep a stop waiting. */
async function endedEarly(life: Lifecycle): Promise<never> {
  await life.ended;
  throw new FleetwireError('cancelled', 'STOPPING', 'the service was stopped while it started');
}

async function openParts<C extends Sections>(
  definition: ServiceDefinition<C>,
  config: ServiceConfig<C>,
  telemetry: Telemetry,
  life: Lifecycle,
  instance: string,
  env: Environment | undefined,
): Promise<RunningService> {
  const { name } = definition;
  const { log } = telemetry;
  const wait = { name, instance, waitMs: config.lifecycle.wait_ms, leaving: life.leaving, log };
  const opened: Opened = { telemetry, instance, life };
  const keysDir = definition.identity === 'none' ? undefined : keysFolder(config, env);
  if (keysDir !== undefined)
    opened.identity = await life.open(
      'keys',
      () => openIdentity(keysDir, name, () => nowMs(opened)),
      (it) => it.close(),
    );
  const { store } = definition;
  if (store)
    opened.store = await life.open(
      'store',
      () => openServiceStore(store, config.database, wait),
      (it) => it.close(),
    );
  if (definition.broker !== undefined && definition.broker !== 'none')
    Object.assign(opened, await brokerPart(definition.broker, keysDir, config.nats, wait, life));
  await openOrgs(opened);
  const context = createContext<C>(config, opened);
  const wiring = await definition.wire(context);
  const server = await rpcPart(name, wiring, config, opened);
  opened.address = config.rpc.advertise ?? server.address;
  for (const component of wiring.components ?? []) await openComponent(life, component);
  await life.open(
    'readiness',
    () => server.setServing(true),
    () => server.setServing(false),
  );
  const { serving } = wiring;
  if (serving !== undefined) {
    const look = () => server.tellServing(serving());
    await life.open('serving watch', () => setInterval(look, SERVING_MS).unref(), clearInterval);
  }
  return runningService(name, opened.address, wiring, opened);
}

/** Before anything is wired: from the first call on nobody is let in by a token that was revoked. */
async function openOrgs(opened: Opened): Promise<void> {
  const { broker, identity, life } = opened;
  if (broker === undefined || identity === undefined) return;
  const orgs = new OrgDirectory(opened.telemetry.log);
  opened.orgs = await life.open(
    'orgs',
    async () => {
      await orgs.open(broker);
      warnOfTenancy(opened, orgs.figures.orgs);
      identity.refuse((caller) => tokenRefusal(orgs, caller));
      return orgs;
    },
    (it) => it.close(),
  );
}

/** Once at each start: nobody else would say it of a fabric that had several orgs before servers were looked at. */
function warnOfTenancy({ broker, fabric, telemetry }: Opened, orgs: number): void {
  if (broker === undefined || fabric === undefined || orgs < 2) return;
  const { message, help } = tenancyFault(fabric, broker.serverVersion) ?? {};
  if (message !== undefined) telemetry.log.warn({ orgs, help }, message);
}

/** The broker's time once there is a broker, so that a wrong clock here makes no wrong tokens. */
function nowMs(opened: Opened): number {
  return (opened.broker?.clock ?? systemClock).nowUs() / 1000;
}

function openComponent(life: Lifecycle, component: Component): Promise<void> {
  return life.open(
    component.name,
    async () => {
      await component.start();
    },
    () => component.stop(),
  );
}

function runningService(name: string, address: string, wiring: Wiring, opened: Opened): RunningService {
  const { life, orgs } = opened;
  const known = () => (orgs === undefined ? {} : { orgs: orgs.figures });
  return {
    name,
    address,
    health: () => ({ state: life.state, ...known(), ...wiring.health?.() }),
    stop: () => life.stop('stop was called'),
    stopped: life.ended,
  };
}
