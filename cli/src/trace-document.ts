/** A trace as a JSON document with stable fields. */

import type { TraceMessageResponse } from '@fleetwire/gen/delivery';
import { type Proof, type Stage, stageToJSON } from '@fleetwire/gen/message';

export const stageName = (stage: Stage): string => stageToJSON(stage).replace('STAGE_', '').toLowerCase();

export function traceDocument(trace: TraceMessageResponse): object {
  const message = trace.message!;
  return {
    id: message.id,
    trace_id: trace.traceId,
    correlation_id: message.correlationId,
    from: message.fromName,
    to: message.to,
    ...(message.fanOut === 0 ? {} : { recipients: message.fanOut }),
    hops: trace.hops.map(({ sequence, recipient, hop, sincePreviousUs, clockBehindUs, proof }) => ({
      sequence,
      stage: stageName(hop!.stage),
      attempt: hop!.attempt,
      service: hop!.service,
      instance: hop!.instance,
      ...(hop!.service === 'node' ? { node_name: trace.nodeNames[hop!.instance] ?? null } : {}),
      at: new Date(hop!.atUs / 1000).toISOString(),
      since_previous_ms: sincePreviousUs / 1000,
      ...(clockBehindUs === 0 ? {} : { clock_behind_ms: clockBehindUs / 1000 }),
      recipient,
      reason: hop!.reason,
      detail: hop!.detail,
      ...proofField(proof),
    })),
    settlements: message.settlements.map((s) => ({
      recipient: s.recipient,
      recipient_name: s.recipientName,
      stage: stageName(s.stage),
      attempt: s.attempt,
      final: s.final,
      reason: s.reason,
      detail: s.detail,
      ...proofField(s.proof),
    })),
  };
}

/** Nothing where there is none: not every recipient needs one. */
export function proofField(proof: Proof | undefined): object {
  if (proof === undefined) return {};
  const { source, matched, place, injectedAtUs, detectedAtUs } = proof;
  return {
    proof: { source, matched, place, injected_at: timeOf(injectedAtUs), detected_at: timeOf(detectedAtUs) },
  };
}

/** Null where it is not known. */
const timeOf = (us: number) => (us === 0 ? null : new Date(us / 1000).toISOString());
