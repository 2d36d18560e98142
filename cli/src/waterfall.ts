/** A message's hops as a waterfall for the terminal. */

import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import type { Proof } from '@fleetwire/gen/message';
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
  const times = trace.hops.map(({ hop }) => hop!.atUs);
  const start = Math.min(...times);
  const whole = Math.max(1, Math.max(...times) - start);
  const names = new Map(message.settlements.map((s) => [s.recipient, s.recipientName || s.recipient]));
  const several = new Set(trace.hops.map(({ recipient }) => recipient).filter((id) => id !== '')).size > 1;
  let shown = '';
  for (const { sequence, recipient, hop, sincePreviousUs, proof } of trace.hops) {
    if (several && recipient !== shown) lines.push(`    to ${printable(names.get(recipient) ?? recipient)}`);
    shown = recipient;
    const from = Math.round(((hop!.atUs - sincePreviousUs - start) / whole) * BAR_CHARS);
    const to = Math.round(((hop!.atUs - start) / whole) * BAR_CHARS);
    const bar = (' '.repeat(Math.max(0, from)) + '='.repeat(Math.max(0, to - from))).slice(0, BAR_CHARS);
    const stage = stageName(hop!.stage);
    const where = `${hop!.service} ${hop!.instance}`;
    const why = [hop!.reason, hop!.detail]
      .filter((text) => text !== '')
      .map(visible)
      .join(': ');
    lines.push(
      `${String(sequence).padStart(2)}  ${stage.padEnd(11)} ${printable(where).padEnd(28)} ` +
        `${`+${(sincePreviousUs / 1000).toFixed(2)} ms`.padStart(12)}  |${`${bar}o`.padEnd(BAR_CHARS + 1)}| ${why}`.trimEnd(),
    );
    if (proof !== undefined) lines.push(`    ${proofLine(proof, hop!.detail)}`);
  }
  if (trace.hops.length === 0) lines.push('no hop is recorded yet');
  return lines;
}

/** The line itself only where the hop does not show it already. */
function proofLine({ source, place, matched, injectedAtUs, detectedAtUs }: Proof, shown: string): string {
  const after = (Math.max(0, detectedAtUs - injectedAtUs) / 1000).toFixed(2);
  const when = injectedAtUs === 0 ? '' : ` ${after} ms after it was handed over`;
  const line = matched === shown ? '' : `: ${visible(matched)}`;
  return `seen by ${printable(source)}${place === '' ? '' : ` in ${visible(place)}`}${when}${line}`;
}
