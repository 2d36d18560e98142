/** Builds what `wire` gets to work with out of the parts that have been opened. */

import { readFileSync } from 'node:fs';
import type { Broker } from '@fleetwire/broker';
import type { Sections } from '@fleetwire/config';
import type { FabricRecord } from '@fleetwire/contract';
import { FleetwireError, systemClock } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient, type RpcClientOptions, type RpcDefinition } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import { currentTraceparent, type Telemetry } from '@fleetwire/telemetry';
import type { Lifecycle } from './lifecycle.ts';
import type { OrgDirectory } from './org-directory.ts';
import type { ServiceConfig, ServiceContext } from './service.ts';
import type { ServiceIdentity } from './service-identity.ts';
import { VERSION } from './version.ts';

/** Filled while the service starts. */
export interface Opened {
  readonly telemetry: Telemetry;
  readonly instance: string;
  readonly life: Lifecycle;
  identity?: ServiceIdentity;
  store?: Store;
  broker?: Broker;
  fabric?: FabricRecord;
  orgs?: OrgDirectory;
  address?: string;
}

export function createContext<C extends Sections>(
  config: ServiceConfig<C>,
  opened: Opened,
): ServiceContext<C> {
  const { telemetry, instance, life } = opened;
  const { log, tracer, meter } = telemetry;
  return {
    config,
    log,
    tracer,
    meter,
    instance,
    version: VERSION,
    clock: opened.broker?.clock ?? systemClock,
    get broker() {
      return opened.broker ?? notThere('a broker');
    },
    get fabric() {
      return opened.fabric ?? notThere('a broker');
    },
    get orgs() {
      return opened.orgs ?? notThere('keys and a broker');
    },
    get store() {
      return opened.store ?? notThere('a store');
    },
    get trust() {
      return opened.identity?.trust ?? notThere('keys');
    },
    get verifier() {
      return opened.identity?.verifier ?? notThere('keys');
    },
    get tokens() {
      return opened.identity?.tokens ?? notThere('keys');
    },
    address: () => opened.address ?? notThere('an address until its components start'),
    client: clientMaker(config, opened),
    fail: (error) => life.fail(error),
  };
}

function clientMaker(config: ServiceConfig<Sections>, opened: Opened) {
  const { tls_ca_file: caFile, deadline_ms: deadlineMs, max_message_bytes: maxMessageBytes } = config.rpc;
  const tls = caFile === undefined ? undefined : { ca: readFileSync(caFile) };
  const tokens = opened.identity?.tokens;
  const token = tokens ? () => tokens.serviceToken() : undefined;
  const traceparent = currentTraceparent;
  return <D extends RpcDefinition>(definition: D, options: RpcClientOptions): RpcClient<D> => {
    const client = createRpcClient(definition, {
      token,
      tls,
      traceparent,
      deadlineMs,
      maxMessageBytes,
      ...options,
    });
    // Called while wiring, before the parts that use it are opened, so that it is closed after them.
    opened.life.adopt(`client of ${definition.name}`, () => client.close());
    return client;
  };
}

function notThere(what: string): never {
  throw new FleetwireError('internal', 'NOT_WIRED', `this service was defined without ${what}`);
}
