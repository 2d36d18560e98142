/** What the benchmark's processes say to each other, over the channel that Node.js gives a forked child. */

/** One phase: as fast as the windows allow, or at a fixed rate. */
export interface Phase {
  /** Messages a second; 0: as fast as the windows allow. */
  readonly rate: number;
  readonly senders: number;
  /** Of each sender: messages sent and not yet acknowledged at the far end, at most. */
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

/** What the far end has acknowledged since the last word: by turns a sender's number and how many of its messages. */
export type Credit = readonly number[];

export type ToWorker =
  | { readonly type: 'phase'; readonly phase: Phase }
  | { readonly type: 'credit'; readonly credit: Credit }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'credit'; readonly credit: Credit }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'result'; readonly result: PhaseResult }
  | { readonly type: 'failed'; readonly error: string };

export function tell(message: FromWorker): void {
  process.send!(message);
}

export function failed(error: unknown): void {
  tell({ type: 'failed', error: String(error) });
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

/** A stamp and the sender's number. */
export const BODY_BYTES_MIN = 12;

/** A body that carries the moment of its sending in its first eight bytes, and who sent it in the next four. */
export function stampedBody(bytes: number, sender: number): Uint8Array {
  const body = new Uint8Array(Math.max(BODY_BYTES_MIN, bytes)).fill(0x61);
  const view = new DataView(body.buffer);
  view.setFloat64(0, machineMs());
  view.setUint32(8, sender);
  return body;
}

const view = (body: Uint8Array) => new DataView(body.buffer, body.byteOffset, BODY_BYTES_MIN);

export const stampOf = (body: Uint8Array): number => view(body).getFloat64(0);
export const senderOf = (body: Uint8Array): number => view(body).getUint32(8);
