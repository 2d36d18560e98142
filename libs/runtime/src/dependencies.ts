/** Opens what services stand on: the store and the broker, each waited for at start. */

import { type Broker, connectBroker } from '@fleetwire/broker';
import { type FabricRecord, streamSpecs } from '@fleetwire/contract';
import { keyFiles, serviceInboxPrefix } from '@fleetwire/identity';
import { openStore, type Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { readFabricRecord } from './bootstrap.ts';
import type { BrokerNeeds, ServiceDefinition } from './service.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';

export interface DependencyOptions {
  readonly name: string;
  readonly instance: string;
  readonly waitMs: number;
  readonly leaving: AbortSignal;
  readonly log: Logger;
}

/** Reasons of a fabric that is not bootstrapped yet: it may happen while we wait. */
const NOT_YET = new Set(['FABRIC_NOT_BOOTSTRAPPED', 'STREAM_MISSING', 'CONSUMER_MISSING', 'BUCKET_MISSING']);

/** The service's schema, migrated. Throws unavailable DATABASE_AWAY when PostgreSQL does not come. */
export function openServiceStore(
  needs: NonNullable<ServiceDefinition['store']>,
  database: { readonly url: string; readonly pool_max: number },
  options: DependencyOptions,
): Promise<Store> {
  const open = () =>
    openStore({
      ...needs,
      url: database.url,
      schema: options.name,
      poolMax: database.pool_max,
      applicationName: `fleetwire-${options.instance}`,
      createDatabase: true,
      waitMs: 0,
    });
  return waitFor(open, {
    ...waiting(options, 'PostgreSQL'),
    help: 'Start PostgreSQL, or correct FLEETWIRE_DATABASE_URL.',
    worthWaiting: (error) => error.kind === 'unavailable',
  });
}

export interface BrokerAccess {
  readonly urls: readonly string[];
  /** Undefined: a server without accounts. */
  readonly credsFile: string | undefined;
}

/** The credentials of a service: as configured, else those of the keys folder. */
export function brokerAccess(
  name: string,
  keysDir: string | undefined,
  nats: { readonly url: string; readonly single_tenant: boolean; readonly creds_file?: string | undefined },
): BrokerAccess {
  const urls = nats.url.split(',').map((url) => url.trim());
  const own = nats.single_tenant || keysDir === undefined ? undefined : keyFiles.natsCreds(keysDir, name);
  return { urls, credsFile: nats.creds_file ?? own };
}

/**
 * A connection on which all that the service needs is known to be there, its clock measured, and what bootstrap decided.
 * `onFault` gets what a listener or handler of the connection threw.
 */
export async function openServiceBroker(
  needs: BrokerNeeds,
  access: BrokerAccess,
  options: DependencyOptions,
  onFault: (error: unknown) => void,
): Promise<{ broker: Broker; fabric: FabricRecord }> {
  const connect = () =>
    connectBroker({
      urls: [...access.urls],
      name: `fleetwire-${options.instance}`,
      inboxPrefix: serviceInboxPrefix(options.name),
      waitMs: 0,
      onFault,
      ...(access.credsFile === undefined ? {} : { credsFile: access.credsFile }),
    });
  const broker = await waitFor(connect, {
    ...waiting(options, 'NATS'),
    help: 'Start nats-server, or correct FLEETWIRE_NATS_URL.',
    worthWaiting: (error) => error.kind === 'unavailable' || error.kind === 'unauthenticated',
  });
  try {
    const fabric = await waitFor(() => verifyNeeds(broker, needs), {
      ...waiting(options, 'the streams of the fabric'),
      help: 'Run `fleetwire bootstrap` against these servers.',
      worthWaiting: ({ kind, reason }) =>
        kind === 'unavailable' || kind === 'deadline_exceeded' || NOT_YET.has(reason),
    });
    return { broker, fabric };
  } catch (error) {
    await broker.close();
    throw error;
  }
}

async function verifyNeeds(broker: Broker, needs: BrokerNeeds): Promise<FabricRecord> {
  const fabric = await readFabricRecord(broker);
  const specs = streamSpecs(fabric.sizing).filter((spec) => needs.streams.includes(spec.name));
  if (specs.length > 0) await broker.streams.verify(specs, fabric.sizing.replicas);
  for (const consumer of needs.consumers ?? []) await broker.consumers.verify(consumer);
  for (const bucket of needs.buckets ?? []) await broker.bucket(bucket);
  // Its entry is in the bucket that bootstrap makes last.
  await broker.clock.measure();
  return fabric;
}

function waiting(
  options: DependencyOptions,
  what: string,
): Pick<WaitOptions, 'what' | 'waitMs' | 'leaving' | 'report'> {
  const { waitMs, leaving, log } = options;
  return { what, waitMs, leaving, report: (line, fields) => log.info(fields, line) };
}
