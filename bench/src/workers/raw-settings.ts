/** Names that the raw two-stage relay uses on the fabric's own server. */

export interface RawSettings {
  readonly url: string;
  readonly creds: string;
  /** True: what gathers is published as one, as nodes and routers do; false: each message is a publish of its own. */
  readonly packed: boolean;
}

export const RAW_FIRST = 'bench.raw.first';
export const RAW_SECOND = 'bench.raw.second';
export const RAW_STREAMS = { first: 'BENCH_FIRST', second: 'BENCH_SECOND' } as const;
export const RAW_CONSUMERS = { relay: 'bench-relay', sink: 'bench-sink' } as const;
