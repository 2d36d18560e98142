/** What the benchmark's processes say to each other, over the channel that Node.js gives a forked child. */

/** One phase: as fast as the window allows, or at a fixed rate. */
export interface Phase {
  /** Messages a second; 0: as fast as the window allows. */
  readonly rate: number;
  /** Messages sent and not yet acknowledged at the far end, at most. */
  readonly window: number;
  readonly body_bytes: number;
  /** Thrown away: until caches are warm and queues are in their steady state. */
  readonly warmup_ms: number;
  readonly measure_ms: number;
}

export interface PhaseResult {
  readonly msgs_per_s: number;
  readonly received: number;
  /** Milliseconds from the send to the acknowledgement; only sampled at a fixed rate. */
  readonly latencies_ms: readonly number[];
}

export type ToWorker =
  | { readonly type: 'phase'; readonly phase: Phase }
  /** How many messages the far end has acknowledged since the phase began. */
  | { readonly type: 'credit'; readonly received: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'credit'; readonly received: number }
  | { readonly type: 'result'; readonly result: PhaseResult }
  | { readonly type: 'failed'; readonly error: string };

export function tell(message: FromWorker): void {
  process.send!(message);
}

export function onMessage(handler: (message: ToWorker) => void): void {
  process.on('message', handler);
  // Whoever started us is gone: so are we.
  process.on('disconnect', () => process.exit(0));
}

export function settings<T>(): T {
  return JSON.parse(process.argv[2]!) as T;
}

/** CLOCK_MONOTONIC in milliseconds, the same for all processes of a machine. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const STAMP_BYTES = 8;

/** A body that carries the moment of its sending in its first eight bytes. */
export function stampedBody(bytes: number): Uint8Array {
  const body = new Uint8Array(Math.max(STAMP_BYTES, bytes)).fill(0x61);
  new DataView(body.buffer).setFloat64(0, machineMs());
  return body;
}

export const stampOf = (body: Uint8Array): number =>
  new DataView(body.buffer, body.byteOffset, STAMP_BYTES).getFloat64(0);
