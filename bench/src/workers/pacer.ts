/** The sending side of a phase: sends as the window or the rate allows, until told to stop. */

import { onMessage, type Phase } from './protocol.ts';

const BURST = 64;

/** `send` hands over one message and may reject; `flush` is called after each burst. */
export function runSender(send: (phase: Phase) => void): void {
  let phase: Phase | undefined;
  let sent = 0;
  let received = 0;
  let timer: NodeJS.Timeout | undefined;

  const flood = () => {
    if (phase === undefined || phase.rate > 0) return;
    for (let burst = 0; burst < BURST && sent - received < phase.window; burst++) {
      send(phase);
      sent++;
    }
    // Let what was sent leave before more is made; a closed window waits for the next credit.
    if (sent - received < phase.window) setImmediate(flood);
  };

  const pace = () => {
    const began = performance.now();
    timer = setInterval(() => {
      if (phase === undefined) return;
      const due = Math.floor(((performance.now() - began) * phase.rate) / 1000);
      while (sent < due && sent - received < phase.window) {
        send(phase);
        sent++;
      }
    }, 1);
  };

  onMessage((message) => {
    if (message.type === 'credit') {
      const closed = phase !== undefined && sent - received >= phase.window;
      received = message.received;
      if (closed) flood();
    } else if (message.type === 'phase') {
      phase = message.phase;
      sent = 0;
      received = 0;
      clearInterval(timer);
      if (phase.rate > 0) pace();
      else flood();
    } else {
      phase = undefined;
      clearInterval(timer);
    }
  });
}
