/** A message's hops as a waterfall for the terminal. */

import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import type { Hop, Proof } from '@fleetwire/gen/message';
import { printable } from '@fleetwire/kernel';
import { visible } from './output.ts';
import { stageName } from './trace-document.ts';

const BAR_CHARS = 32;

/**
 * One line per hop, under the name of its recipient where there are several: number, stage, where, milliseconds since the hop
 * before, and a bar on the scale of the whole way.
 */
export function waterfall(trace: TraceMessageResponse): string[] {
  const message = trace.message!;
  const lines = [
    `message ${message.id}  ${printable(message.fromName || message.fromAgent)} -> ${printable(message.to)}`,
    `trace   ${trace.traceId}  conversation ${printable(message.correlationId)}`,
    '',
  ];
  const reached = reachedTimes(trace);
  const start = Math.min(...reached);
  const whole = Math.max(1, Math.max(...reached) - start);
  const names = new Map(message.settlements.map((s) => [s.recipient, s.recipientName || s.recipient]));
  const several = new Set(trace.hops.map(({ recipient }) => recipient).filter((id) => id !== '')).size > 1;
  let shown = '';
  let attempt = 0;
  for (const [
    i,
    { sequence, recipient, hop, sincePreviousUs, clockBehindUs, proof },
  ] of trace.hops.entries()) {
    if (several && recipient !== shown) lines.push(`    to ${printable(names.get(recipient) ?? recipient)}`);
    if (hop!.attempt !== attempt && hop!.attempt > 0) lines.push(`    attempt ${hop!.attempt}`);
    shown = recipient;
    attempt = hop!.attempt;
    const from = Math.round(((reached[i]! - sincePreviousUs - start) / whole) * BAR_CHARS);
    const to = Math.round(((reached[i]! - start) / whole) * BAR_CHARS);
    const bar = (' '.repeat(Math.max(0, from)) + '='.repeat(Math.max(0, to - from))).slice(0, BAR_CHARS);
    const stage = stageName(hop!.stage);
    const why = [hop!.reason, hop!.detail]
      .filter((text) => text !== '')
      .map(visible)
      .join(': ');
    const clock = clockBehindUs === 0 ? '' : `(its clock says ${milliseconds(clockBehindUs)} earlier)`;
    const took = `${clockBehindUs === 0 ? '+' : '~'}${milliseconds(sincePreviousUs)}`.padStart(12);
    const head = `${String(sequence).padStart(2)}  ${stage.padEnd(11)} ${printable(placeOf(trace, hop!)).padEnd(28)}`;
    const words = [why, clock].filter((text) => text !== '').join(' ');
    lines.push(`${head} ${took}  |${`${bar}o`.padEnd(BAR_CHARS + 1)}| ${words}`.trimEnd());
    if (proof !== undefined) lines.push(`    ${proofLine(proof, hop!.detail)}`);
  }
  if (trace.hops.length === 0) lines.push('no hop is recorded yet');
  return lines;
}

/** By when each hop had been reached, whatever its own clock says: never before those that it followed. */
function reachedTimes({ hops }: TraceMessageResponse): number[] {
  return hops.map(({ hop, clockBehindUs }) => hop!.atUs + clockBehindUs);
}

/** A node by its name, where that is known. */
function placeOf({ nodeNames }: TraceMessageResponse, { service, instance }: Hop): string {
  const name = service === 'node' ? nodeNames[instance] : undefined;
  return `${service} ${name ?? instance}`;
}

const milliseconds = (us: number) => `${(us / 1000).toFixed(2)} ms`;

/** The line itself only where the hop does not show it already. */
function proofLine({ source, place, matched, injectedAtUs, detectedAtUs }: Proof, shown: string): string {
  const after = (Math.max(0, detectedAtUs - injectedAtUs) / 1000).toFixed(2);
  const when = injectedAtUs === 0 ? '' : ` ${after} ms after it was handed over`;
  const line = matched === shown ? '' : `: ${visible(matched)}`;
  return `seen by ${printable(source)}${place === '' ? '' : ` in ${visible(place)}`}${when}${line}`;
}
