/** HandOver: what the old node still held for an agent that has moved, published to where it lives now. */

import { hash } from 'node:crypto';
import { isSubjectToken, LIMITS, TTL_CAP_MS } from '@fleetwire/contract';
import { Envelope, type InboxEntry } from '@fleetwire/gen/message';
import type { HandOverRequest, HandOverResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, nowMs } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { movedPack, moveOver, moveUnderWay, moveUnknown, newInbox } from '../domain/moving.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import type { MoveRow } from '../store/moves.ts';

/**
 * Resolves when all of it is stored. A batch may be repeated: the same one has the same dedupe ids, and the recipient's node
 * drops repeats anyway. Rejects not_found MOVE_UNKNOWN, failed_precondition MOVE_OVER (what the node holds goes back),
 * aborted MOVE_UNDER_WAY (again in a moment), resource_exhausted STREAM_FULL while the new inbox is at its bound.
 */
export async function handOver(
  parts: RegistryParts,
  request: HandOverRequest,
  caller: Caller,
): Promise<HandOverResponse> {
  const { node, org } = requireNode(caller);
  const { moves } = parts.moving;
  const move = await moves.find(request.agent, request.epoch);
  if (move === undefined || move.org !== org || move.fromNode !== node) throw moveUnknown();
  if (move.state === 'opening' || move.state === 'recalled') throw moveUnknown();
  if (move.toNode === '' || move.state === 'over') throw moveOver();
  // It was taken for lost a moment ago: either the mover sees that it is back, or it is too late.
  if (move.state === 'reading') throw moveUnderWay('the agent');
  const latestUs = parts.clock.nowUs() + TTL_CAP_MS * 1000;
  for (const pack of packs(request.entries.map((entry) => checked(entry, move, latestUs)))) {
    const payload = movedPack(pack, move.epoch);
    const msgId = `move-${move.epoch}-${hash('sha256', payload, 'base64url').slice(0, 27)}`;
    await parts.moving.store(newInbox(move), payload, { msgId });
  }
  if (request.done) await close(parts, move);
  return {};
}

/** The mark that lets the old node end may be read by it sooner than the move's next state is written: it says so again then. */
async function close({ moving: { moves, wake }, clock }: RegistryParts, move: MoveRow): Promise<void> {
  if (await moves.advance(move, ['handover', 'waiting'], 'closing', nowMs(clock))) wake();
  else if ((await moves.find(move.agent, move.epoch))?.state === 'routers') throw moveUnderWay('the agent');
}

/**
 * It is for this agent, or only to be remembered by its node; it is of the org, names a node that can be told what became of
 * it, and waits no longer than any mail may.
 */
function checked(entry: InboxEntry, { agent, org }: MoveRow, latestUs: number): InboxEntry {
  const recipients = entry.recipients.length === 0 ? [] : [agent];
  let envelope: Envelope | undefined;
  try {
    envelope = Envelope.decode(entry.envelope);
  } catch {
    // Refused below.
  }
  const size = entry.envelope.length <= LIMITS.serverMaxPayload - LIMITS.packBytes;
  const told = envelope?.org === org && isSubjectToken(envelope.fromNode);
  if (envelope !== undefined && size && (told || recipients.length === 0))
    return { ...entry, recipients, deadlineUs: Math.min(entry.deadlineUs, latestUs) };
  throw new FleetwireError('invalid_argument', 'ENTRY_INVALID', 'this is not mail of your org for an agent', {
    help: 'Hand over entries as they were taken in.',
  });
}

function* packs(entries: readonly InboxEntry[]): Generator<InboxEntry[]> {
  let pack: InboxEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entry.envelope.length;
    if (pack.length > 0 && (pack.length >= LIMITS.packMessages || bytes + size > LIMITS.packBytes)) {
      yield pack;
      pack = [];
      bytes = 0;
    }
    pack.push(entry);
    bytes += size;
  }
  if (pack.length > 0) yield pack;
}
