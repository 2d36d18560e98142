/** What the command line reads from the environment: the shared sections, and whether servers outside are given. */

import {
  type ConfigOf,
  childEnvironment,
  defineSection,
  folders,
  loadConfig,
  secretText,
  sections,
  z,
} from '@fleetwire/config';

/** Read a second time without defaults: a given URL means that `up` starts no server of its own for it. */
const outside = {
  nats: defineSection('nats', {
    url: z.string().min(1).optional().describe('NATS servers to use; without it `up` starts its own'),
  }),
  database: defineSection('database', {
    url: secretText().min(1).optional().describe('PostgreSQL to use; without it `up` starts its own'),
  }),
  /** By its whole name: of the other keys of nodes nothing is known here. */
  node: defineSection('', {
    node_join_wait_ms: z.string().min(1).optional().describe('How long a first start waits for the registry'),
  }),
  rpc: defineSection('rpc', {
    listen: z.string().min(1).optional().describe('host:port or unix:/path that gRPC listens on'),
  }),
};

const up = defineSection('up', {
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address that the services and servers of `up` listen on'),
  partitions: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Partitions of a fabric that is made anew; fixed from its first start on'),
  ready_ms: z
    .number()
    .int()
    .min(1000)
    .max(600_000)
    .default(90_000)
    .describe('How long `up --detach` and `node start` wait until what they started is ready'),
});

const watch = defineSection('watch', {
  interval_ms: z
    .number()
    .int()
    .min(100)
    .max(3_600_000)
    .default(1000)
    .describe('Time between two looks of `--watch` and `--wait`; longer where a look takes long'),
});

/** All that the command line reads. */
export const cliSections = {
  common: sections.common,
  nats: sections.nats,
  database: sections.database,
  keys: sections.keys,
  ambient: sections.ambient,
  up,
  watch,
};

export type CliConfig = ConfigOf<typeof cliSections> & {
  /** Undefined: `up` starts its own. */
  readonly outsideNats: string | undefined;
  readonly outsideDatabase: string | undefined;
  /** Somebody has said how long a first start waits for the registry. */
  readonly joinWaitGiven: boolean;
  /** Where a node is told to listen; undefined: on a port of its own that stays the same. */
  readonly listen: string | undefined;
  readonly folders: { readonly data: string; readonly config: string; readonly state: string };
};

export function loadCliConfig(): CliConfig {
  const given = loadConfig(outside);
  const config = loadConfig(cliSections);
  return {
    ...config,
    outsideNats: given.nats.url,
    outsideDatabase: given.database.url,
    joinWaitGiven: given.node.node_join_wait_ms !== undefined,
    listen: given.rpc.listen,
    folders: folders(config),
  };
}

/** The environment for another process of this command line: as ours, with the secrets that it needs too. */
export function ownEnvironment(
  config: CliConfig,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { api_key, join_token, hub } = config.ambient;
  return childEnvironment({
    ...(hub === undefined ? {} : { FLEETWIRE_HUB: hub }),
    ...(config.outsideDatabase === undefined ? {} : { FLEETWIRE_DATABASE_URL: config.outsideDatabase }),
    ...(api_key === undefined ? {} : { FLEETWIRE_API_KEY: api_key }),
    ...(join_token === undefined ? {} : { FLEETWIRE_JOIN_TOKEN: join_token }),
    ...extra,
  });
}

/** Where programs are looked for. */
export const searchPath = (): string => childEnvironment()['PATH'] ?? '';
