/** What a service is made of, and what it gets to work with. */

import type { Broker } from '@fleetwire/broker';
import { type ConfigOf, type Sections, sections } from '@fleetwire/config';
import type { BucketSpec, ConsumerSpec, FabricRecord, StreamName } from '@fleetwire/contract';
import type { TokenSigner, TokenVerifier, Trust } from '@fleetwire/identity';
import type { Clock } from '@fleetwire/kernel';
import type { BoundService, RpcClient, RpcClientOptions, RpcDefinition } from '@fleetwire/rpc';
import type { Store, StoreOptions } from '@fleetwire/store';
import type { HopTracer, Logger, Meter } from '@fleetwire/telemetry';
import type { OrgDirectory } from './org-directory.ts';

/** Read by every service besides its own sections. */
export const standardSections = {
  common: sections.common,
  nats: sections.nats,
  database: sections.database,
  rpc: sections.rpc,
  keys: sections.keys,
  lifecycle: sections.lifecycle,
  telemetry: sections.telemetry,
};

export type StandardSections = typeof standardSections;
export type ServiceConfig<C extends Sections> = ConfigOf<StandardSections> & ConfigOf<C>;

export interface ServiceDefinition<C extends Sections = Sections> {
  /** Also the name of its schema, its credentials and its key. */
  readonly name: string;
  /** The service's own sections. */
  readonly config: C;
  /** Absent: the service has no database. */
  readonly store?: Pick<StoreOptions, 'entities' | 'migrations' | 'settings' | 'asks'>;
  /** What must be there before the service starts; `none`: it does not use the fabric's account. */
  readonly broker?: BrokerNeeds | 'none';
  /** `none`: there is no keys folder; the service brings its own `authenticate`. */
  readonly identity?: 'keys' | 'none';
  /** The only place where a service creates its things. What it opens must be closed by a component. */
  wire(context: ServiceContext<C>): Promise<Wiring> | Wiring;
}

export interface BrokerNeeds {
  readonly streams: readonly StreamName[];
  readonly consumers?: readonly ConsumerSpec[];
  readonly buckets?: readonly BucketSpec[];
}

export interface ServiceContext<C extends Sections = Sections> {
  readonly config: ServiceConfig<C>;
  readonly log: Logger;
  readonly tracer: HopTracer;
  readonly meter: Meter;
  /** The broker's time where there is a broker. */
  readonly clock: Clock;
  /** Throws for a service that has none; so do `fabric`, `orgs`, `store`, `trust`, `verifier` and `tokens`. */
  readonly broker: Broker;
  /** What bootstrap decided: the number of partitions, the sizes of the streams. */
  readonly fabric: FabricRecord;
  /** What org has published; there for services with keys and a broker, whose verifier goes by it. */
  readonly orgs: OrgDirectory;
  readonly store: Store;
  readonly trust: Trust;
  readonly verifier: TokenVerifier;
  readonly tokens: TokenSigner;
  /** `<service>-<replica>`: unique in the fabric. */
  readonly instance: string;
  readonly version: string;
  /** Where this service answers; known once components start. */
  address(): string;
  /** A client with this service's identity, trace and TLS settings; it is closed with the service. */
  client<D extends RpcDefinition>(definition: D, options: RpcClientOptions): RpcClient<D>;
  /** Ends the service because it cannot go on; the process exits with the error's code. */
  fail(error: unknown): void;
}

export interface Wiring {
  readonly rpc?: readonly BoundService[];
  /** Started in order once the server listens, stopped in reverse. */
  readonly components?: readonly Component[];
  /** Instead of the keys folder's trust. */
  readonly authenticate?: (bearer: string) => Promise<unknown>;
  /** Figures for status pages. */
  health?(): Record<string, unknown>;
  /** False while it cannot do its work: its gRPC health then says NOT_SERVING. Looked at each second. */
  serving?(): boolean;
}

export interface Component {
  readonly name: string;
  /** When it rejects, it has cleaned up after itself. */
  start(): Promise<void> | void;
  /** Finishes what is in flight; called only after a start that resolved. */
  stop(): Promise<void> | void;
}

/** Gives the definition its types; does nothing. */
export function defineService<C extends Sections>(definition: ServiceDefinition<C>): ServiceDefinition<C> {
  return definition;
}
