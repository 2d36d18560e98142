/** One point: the raw relay and the fabric side by side, with the same sizes and windows. */

import type { BenchFabric } from '../fabric.ts';
import { round } from '../percentiles.ts';
import type { Figures, Load, Timing } from '../phases.ts';
import { runRaw } from '../raw.ts';
import { runRouted } from './clients.ts';

/** What the sweep varies. */
export interface PointSettings {
  readonly body_bytes: number;
  /** Agents that send, in `packed`; `one_at_a_time` has as many as the window is wide. */
  readonly senders: number;
  readonly receivers: number;
  readonly partitions: number;
  readonly routers: number;
  /** Messages between send and acknowledgement, all senders together. */
  readonly window: number;
}

export interface Measured extends Figures {
  /** To the raw relay of the same run. */
  readonly ratio: number;
}

export interface Point {
  /** One publish for one message. */
  readonly raw: Figures;
  /** What gathers is one publish, without anything of Fleetwire: for comparison only. */
  readonly raw_packed?: Figures;
  /** The window is divided among the senders. */
  readonly packed: Measured;
  /** Each sender has one message under way. */
  readonly one_at_a_time: Measured;
}

/** Bytes that may be under way: far below what a sender's client holds, so that the window decides. */
const WINDOW_BYTES = 8 * 1024 * 1024;

export function windowOf({ window, body_bytes }: PointSettings): number {
  return Math.max(1, Math.min(window, Math.floor(WINDOW_BYTES / body_bytes)));
}

/** Latency is measured in `raw` and `packed`; `reference`: measure `raw_packed` too. */
export async function measurePoint(
  fabric: BenchFabric,
  settings: PointSettings,
  timing: Timing,
  reference: boolean,
): Promise<Point> {
  const { body_bytes, receivers, senders } = settings;
  const window = windowOf(settings);
  const connection = { url: fabric.natsUrl, creds: fabric.creds };
  const one: Load = { body_bytes, senders: 1, window };
  const flood = { ...timing, paced_rate: 0 };
  const raw = await runRaw({ ...connection, packed: false }, one, timing);
  const raw_packed = reference ? await runRaw({ ...connection, packed: true }, one, flood) : undefined;
  const ratioOf = (figures: Figures) => ({
    ...figures,
    ratio: round(figures.msgs_per_s / raw.msgs_per_s, 3),
  });
  const shared = { body_bytes, receivers };
  const many = { ...shared, senders, window: Math.max(1, Math.floor(window / senders)) };
  const packed = await runRouted(fabric, many, timing);
  const single = await runRouted(fabric, { ...shared, senders: window, window: 1 }, flood);
  return {
    raw,
    ...(raw_packed === undefined ? {} : { raw_packed }),
    packed: ratioOf(packed),
    one_at_a_time: ratioOf(single),
  };
}
