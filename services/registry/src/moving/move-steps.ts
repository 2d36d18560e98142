/** One move, step by step: each can be repeated, and goes on only from the state that it was made for. */

import type { Broker } from '@fleetwire/broker';
import { routeKey } from '@fleetwire/contract';
import { type Clock, nowMs } from '@fleetwire/kernel';
import type { RegistryConfig } from '../config.ts';
import type { LastSeen } from '../domain/liveness.ts';
import { isOnline, MOVING_PROTOCOL, markPack, newInbox, oldInbox, stateBySource } from '../domain/moving.ts';
import type { Silence } from '../domain/silence.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows, PlacedAgent } from '../store/agents.ts';
import type { MoveRow, MoveRows, Party } from '../store/moves.ts';
import { moveWaiting, type WaitingMailOptions } from './waiting-mail.ts';

export interface MoveParts {
  readonly moves: MoveRows;
  readonly agents: Pick<AgentRows, 'byId'>;
  readonly routes: Pick<RouteTable, 'ensure' | 'removeKey'>;
  readonly lastSeen: Pick<LastSeen, 'latest'>;
  readonly silence: Silence;
  readonly mail: WaitingMailOptions;
  readonly store: Broker['store'];
  readonly clock: Clock;
  readonly config: Pick<
    RegistryConfig,
    'liveness_ms' | 'move_lost_ms' | 'agents_per_node_max' | 'move_opening_ms'
  >;
}

/** Nothing is under way by the old route any more, at any router. */
export type Flushed = (move: MoveRow) => Promise<boolean>;

/** Announces the agent at its new node, and only then lets it live there: what is routed there finds it expected. */
export async function openMove(parts: MoveParts, move: MoveRow, agent: PlacedAgent, adapter: string) {
  const { agent: id, epoch } = move;
  const mark = { agent: id, epoch, end: false, name: agent.name, adapter };
  try {
    await parts.store(newInbox(move), markPack(mark), { msgId: `move-${id}-${epoch}-begin` });
    const outcome = await parts.moves.place(move, parts.config.agents_per_node_max, nowMs(parts.clock));
    if (outcome !== 'placed') await recall(parts, move);
    return outcome;
  } catch (error) {
    await recall(parts, move).catch(() => undefined); // the mover does it later
    throw error;
  }
}

/**
 * It was announced and does not come, unless it has been placed after all. The node waits for nothing more of it, and learns
 * by its next roster where it lives.
 */
async function recall(parts: MoveParts, move: MoveRow): Promise<void> {
  const mine = move.state === 'recalled';
  if (!mine && !(await parts.moves.advance(move, ['opening'], 'recalled', nowMs(parts.clock)))) return;
  const mark = { agent: move.agent, epoch: move.epoch, end: true, name: '', adapter: '' };
  const msgId = `move-${move.agent}-${move.epoch}-end`;
  await parts.store(newInbox(move), markPack(mark), { msgId });
  await parts.moves.drop(move);
}

/** True when it is worth another step at once. `mayGoOn`: the lease is still held. */
export async function stepMove(
  parts: MoveParts,
  move: MoveRow,
  flushed: Flushed,
  mayGoOn: () => boolean,
): Promise<boolean> {
  const agent = await parts.agents.byId(move.org, move.agent);
  const now = nowMs(parts.clock);
  if (move.state === 'opening') {
    // Whoever began it has been told of nothing, and begins anew.
    if (now - move.changedAtMs >= parts.config.move_opening_ms) await recall(parts, move);
    return false;
  }
  if (move.state === 'recalled') {
    await recall(parts, move);
    return false;
  }
  if (move.toNode !== '' && agent === undefined) {
    await parts.moves.turnBack(move, now);
    return true;
  }
  if (move.state === 'routers') return leaveRouters(parts, move, agent, flushed);
  if (move.state === 'waiting' || move.state === 'handover') return followSource(parts, move);
  if (move.state === 'reading') return readOut(parts, move, agent, mayGoOn);
  return finish(parts, move, agent!, 'done');
}

async function leaveRouters(
  parts: MoveParts,
  move: MoveRow,
  agent: PlacedAgent | undefined,
  flushed: Flushed,
): Promise<boolean> {
  // Asked again and again: only what is there leaves a marker.
  if (agent === undefined) await parts.routes.removeKey(routeKey(move.org, move.agent));
  else await parts.routes.ensure(agent);
  if (!(await flushed(move))) return false;
  const next = move.toNode === '' ? 'reading' : await sourceState(parts, move);
  if (next === 'handover') await tellSource(parts, move);
  return parts.moves.advance(move, ['routers'], next, nowMs(parts.clock));
}

/** The old node hands over by itself once the mark has come to it; here it is only seen whether it is there. */
async function followSource(parts: MoveParts, move: MoveRow): Promise<boolean> {
  const next = await sourceState(parts, move);
  if (next === move.state) return false;
  if (next === 'handover') await tellSource(parts, move);
  return parts.moves.advance(move, [move.state], next, nowMs(parts.clock));
}

async function readOut(
  parts: MoveParts,
  move: MoveRow,
  agent: PlacedAgent | undefined,
  mayGoOn: () => boolean,
): Promise<boolean> {
  // A node that is back in time gives what it has itself: what it holds goes before what waits for it.
  const absent = async () => move.toNode === '' || (await sourceState(parts, move)) === 'reading';
  if (!(await absent())) return followSource(parts, move);
  // A node that is gone sends nothing on; that of an agent that was removed, or its time, ends what is for several.
  const many = move.toNode !== '';
  const { all } = await moveWaiting(parts.mail, move, async () => mayGoOn() && (await absent()), many);
  if (!all) return false;
  if (move.toNode !== '') return finish(parts, move, agent!, 'over');
  await parts.moves.advance(move, ['reading'], 'over', nowMs(parts.clock));
  return false;
}

/** All that waited elsewhere is in the new inbox: the mark behind it says so. */
async function finish(parts: MoveParts, move: MoveRow, agent: PlacedAgent, end: 'done' | 'over') {
  const { agent: id, epoch } = move;
  const mark = { agent: id, epoch, end: true, name: '', adapter: '' };
  await parts.store(newInbox(move), markPack(mark), { msgId: `move-${id}-${epoch}-end` });
  const ended = await parts.moves.advance(move, ['reading', 'closing'], end, nowMs(parts.clock));
  if (ended) await parts.routes.ensure({ ...agent, movingFrom: '' });
  return false;
}

/** No router sends there any more: what is before this mark is all that there will be. */
async function tellSource(parts: MoveParts, move: MoveRow): Promise<void> {
  const { agent, epoch } = move;
  const mark = { agent, epoch, end: true, name: '', adapter: '' };
  const msgId = `move-${agent}-${epoch}-leave-${move.changedAtMs}`;
  await parts.store(oldInbox(move), markPack(mark), { msgId });
}

async function sourceState(parts: MoveParts, move: MoveRow) {
  const node = await parts.moves.party(move.fromNode);
  const { liveness_ms: livenessMs, move_lost_ms: lostMs } = parts.config;
  return stateBySource(node, node === undefined ? 0 : seenAtMs(parts, node), {
    nowMs: nowMs(parts.clock),
    livenessMs,
    lostMs,
    silence: parts.silence,
  });
}

export function seenAtMs(parts: Pick<MoveParts, 'lastSeen'>, node: Party): number {
  return parts.lastSeen.latest(node.id, node.lastSeenAtMs);
}

/** Mail that came to the old place after all, from a router that was paused in the middle of a publish. */
export async function lateMail(parts: MoveParts, move: MoveRow, mayGoOn: () => boolean): Promise<number> {
  if (move.toNode !== '') {
    const node = await parts.moves.party(move.fromNode);
    const at = { nowMs: nowMs(parts.clock), livenessMs: parts.config.liveness_ms };
    const knows = node !== undefined && node.protocol >= MOVING_PROTOCOL;
    // It takes such mail out itself, and hands it over, or lives there again.
    if (knows && isOnline(node, seenAtMs(parts, node), at)) return 0;
    const agent = await parts.agents.byId(move.org, move.agent);
    if (agent === undefined || agent.node !== move.toNode) return 0;
    // It has been away and comes once more: what waits there goes with that move, behind what its node still holds.
    if (await parts.moves.isUnderWay(move.agent)) return 0;
  }
  return (await moveWaiting(parts.mail, move, mayGoOn)).moved;
}
