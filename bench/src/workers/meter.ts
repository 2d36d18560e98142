/** The receiving side of a phase: counts, times, gives credit, and reports when the time is over. */

import { machineMs, onMessage, type Phase, senderOf, stampOf, tell } from './protocol.ts';

const CREDIT_EVERY_MS = 1;

export interface Meter {
  /** To be called when a message has been acknowledged. */
  received(body: Uint8Array): void;
}

export function createMeter(): Meter {
  let phase: Phase | undefined;
  let began = 0;
  let measured = 0;
  let first = 0;
  let latencies: number[] = [];
  let credit = new Map<number, number>();

  setInterval(() => {
    if (credit.size === 0) return;
    tell({ type: 'credit', credit: [...credit].flat() });
    credit = new Map();
  }, CREDIT_EVERY_MS);

  const finish = () => {
    const seconds = (machineMs() - first) / 1000;
    tell({
      type: 'result',
      result: { msgs_per_s: measured / seconds, received: measured, latencies_ms: latencies },
    });
    phase = undefined;
  };

  onMessage((message) => {
    if (message.type !== 'phase') return;
    phase = message.phase;
    began = machineMs();
    credit = new Map();
    measured = 0;
    latencies = [];
    setTimeout(() => {
      first = machineMs();
    }, phase.warmup_ms);
    setTimeout(finish, phase.warmup_ms + phase.measure_ms);
  });

  return {
    received(body) {
      const sender = senderOf(body);
      credit.set(sender, (credit.get(sender) ?? 0) + 1);
      if (phase === undefined) return;
      const now = machineMs();
      if (now - began < phase.warmup_ms) return;
      measured++;
      if (phase.rate > 0) latencies.push(now - stampOf(body));
    },
  };
}
