/** The sweep: from the default point along each axis, one at a time. */

import { type FabricShape, startFabric } from '../fabric.ts';
import type { Timing } from '../phases.ts';
import { measurePoint, type Point, type PointSettings } from './point.ts';

export interface SweepPoint extends Point {
  readonly axis: string;
  readonly settings: PointSettings;
}

/** Short: a point is for comparison with its neighbours, the figures that count are the default point's. */
const TIMING: Timing = { warmup_s: 4, seconds: 6, paced_rate: 0 };

const AXES: Readonly<Partial<Record<keyof PointSettings, readonly number[]>>> = {
  body_bytes: [256, 2048, 65_536],
  senders: [1, 100, 1000],
  receivers: [1, 100],
  partitions: [1, 8, 32],
  routers: [1, 2],
};

/** With several routers as many nodes send: one node's mail goes through one partition, which one router has. */
export const shapeOf = ({ partitions, routers }: PointSettings): FabricShape => ({
  partitions,
  routers,
  near: routers,
  far: 1,
});

/** The default point comes first and only once. */
export function pointsOf(base: PointSettings): { axis: string; settings: PointSettings }[] {
  const points = [{ axis: 'default', settings: base }];
  for (const [axis, values] of Object.entries(AXES))
    for (const value of values)
      if (base[axis as keyof PointSettings] !== value)
        points.push({ axis, settings: { ...base, [axis]: value } });
  return points;
}

/** Points on one fabric follow each other; another number of partitions or routers is another fabric. */
export async function sweep(base: PointSettings, report: (line: string) => void): Promise<SweepPoint[]> {
  const measured: SweepPoint[] = [];
  const points = pointsOf(base);
  const shapes = [...new Set(points.map(({ settings }) => JSON.stringify(shapeOf(settings))))];
  for (const shape of shapes) {
    const fabric = await startFabric(JSON.parse(shape) as FabricShape);
    try {
      for (const { axis, settings } of points) {
        if (JSON.stringify(shapeOf(settings)) !== shape) continue;
        const point = await measurePoint(fabric, settings, TIMING, false);
        measured.push({ axis, settings, ...point });
        const value = axis === 'default' ? '' : ` ${settings[axis as keyof PointSettings]}`;
        report(`sweep ${measured.length} of ${points.length}: ${axis}${value}: ${summaryOf(point)}`);
      }
    } finally {
      await fabric.stop();
    }
  }
  return measured;
}

export function summaryOf({ raw, packed, one_at_a_time: one }: Point): string {
  const routed = `packed ${packed.msgs_per_s}/s (${packed.ratio}), one at a time ${one.msgs_per_s}/s (${one.ratio})`;
  return `raw ${raw.msgs_per_s}/s, ${routed}`;
}
