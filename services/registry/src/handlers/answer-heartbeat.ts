/** What a heartbeat is answered: the time, in time new credentials, and whatever the node should know by now. */

import { type Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { trustDigest } from '@fleetwire/identity';
import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import { holderOfBeat } from '../domain/identity-holder.ts';
import { cleaned, cleanedFacts } from '../domain/node-facts.ts';
import { isClosed } from '../domain/orgs.ts';
import type { NodeRow } from '../store/entities.ts';
import type { DenialNews } from './denial-news.ts';
import { noteContender } from './identity-claims.ts';
import { contenderOf } from './list-nodes.ts';
import type { NodeLoads } from './node-loads.ts';
import type { NodeLook } from './node-look.ts';
import { tellPresenceIfPossible } from './node-news.ts';
import type { RegistryParts } from './parts.ts';
import type { Rosters } from './rosters.ts';

export interface HeartbeatParts extends RegistryParts {
  readonly look: Pick<NodeLook, 'movingFrom'>;
  readonly rosters: Pick<Rosters, 'differs'>;
  readonly loads: Pick<NodeLoads, 'note'>;
  readonly denials: Pick<DenialNews, 'note'>;
}

interface From {
  readonly org: string;
  readonly node: string;
}

const LOAD_MAX = 10;

export async function answerHeartbeat(
  parts: HeartbeatParts,
  said: Heartbeat,
  from: From,
): Promise<HeartbeatReply> {
  // As a HELLO's.
  const beat = { ...said, instance: cleaned(said.instance) };
  const org = parts.orgs.get(from.org);
  const found = await parts.known.get(from.node);
  const node = found?.org === from.org ? found : null;
  const { refused, held } = await standing(parts, beat, node, from);
  const known = held !== undefined && refused === '';
  const base = {
    known,
    revocations: org?.state.revocations ?? [],
    orgStatus: org?.status ?? '',
    trustDigest: trustDigest(parts.jwks()),
  };
  const v2 = beat.protocol >= 2;
  if (!known)
    return HeartbeatReply.fromPartial({
      ...base,
      brokerTimeUs: parts.clock.nowUs(),
      refused: v2 ? refused : '',
    });
  if (beat.leaving) await leave(parts, held, beat.instance);
  else parts.lastSeen.note(held.id, nowMs(parts.clock));
  parts.denials.note({ org: held.org, node: held.id, instance: beat.instance }, beat.denials);
  const userJwt = beat.leaving ? '' : await renewal(parts, held, beat.credentialsLeftS);
  const news = v2 && !beat.leaving ? await newsOf(parts, held, beat) : {};
  return HeartbeatReply.fromPartial({ ...base, brokerTimeUs: parts.clock.nowUs(), userJwt, ...news });
}

/** Why it is refused, or the node whose heartbeat it is; neither: it should say HELLO. */
async function standing(
  parts: HeartbeatParts,
  beat: Heartbeat,
  node: NodeRow | null,
  from: From,
): Promise<{ refused: string; held?: NodeRow }> {
  if (isClosed(parts.orgs.get(from.org))) return { refused: 'ORG_CLOSED' };
  if (node === null) {
    if (beat.protocol < 2) return { refused: '' };
    const keys = await parts.nodeKeys.ofNode(from.node);
    return { refused: keys.some(({ reason }) => reason === 'removed') ? 'NODE_REMOVED' : '' };
  }
  if (node.shutOut !== '') return { refused: 'OWNER_DEPARTED' };
  if (holderOfBeat(node, beat.instance) === 'same') return { refused: '', held: node };
  // Remembered from before another HELLO, perhaps.
  const now = await parts.known.fresh(node.id);
  if (now === null) return { refused: '' };
  const holder = holderOfBeat(now, beat.instance);
  if (holder === 'same') return { refused: '', held: now };
  if (holder === 'stranger') return { refused: '' };
  await noteContender(parts, now, `another process (${beat.platform || 'unknown platform'})`);
  return { refused: 'IDENTITY_IN_USE' };
}

/** Offline at once, here and by and by at every replica; while PostgreSQL is away, silence tells the others. */
async function leave(parts: HeartbeatParts, node: NodeRow, instance: string): Promise<void> {
  const now = nowMs(parts.clock);
  parts.lastSeen.note(node.id, now);
  parts.lastSeen.leave(node.id, now);
  const left = await ifPossible(parts, parts.nodes.leave(node.id, instance, now));
  if (left !== undefined) await tellPresenceIfPossible(parts, [left]);
}

/** Never for a key that is not the node's any more, or for one that was shut out: that is looked at before and after. */
async function renewal(parts: HeartbeatParts, node: NodeRow, leftS: number): Promise<string> {
  if (leftS >= parts.config.credentials_ttl_s / 2) return '';
  const before = await parts.known.fresh(node.id);
  if (before === null || before.shutOut !== '') return '';
  const { jwt } = await parts.mint(before);
  const after = await parts.known.fresh(node.id);
  return after?.publicKey === before.publicKey && after.shutOut === '' ? jwt : '';
}

async function newsOf(
  parts: HeartbeatParts,
  node: NodeRow,
  beat: Heartbeat,
): Promise<Partial<HeartbeatReply>> {
  if (beat.facts !== undefined)
    await ifPossible(parts, parts.nodeState.setFacts(node.id, cleanedFacts(beat.facts)));
  parts.loads.note(node.org, node.id, Math.min(beat.load, LOAD_MAX));
  const moving = parts.look.movingFrom(node.id);
  return {
    draining: node.draining,
    rotateKey: node.rotate,
    rosterDiffers:
      beat.instance !== '' &&
      ((await ifPossible(parts, parts.rosters.differs(node.id, beat.rosterDigest))) ?? false),
    contender: contenderOf(node, nowMs(parts.clock), parts.config.contender_ms),
    syncRevision: parts.view.syncRevision(node.org),
    accessVersion: parts.orgs.get(node.org)?.version ?? 0,
    moving: moving.map(({ agent, epoch }) => ({ agent, epoch })),
  };
}

/** Heartbeats are answered while PostgreSQL is away: what needs it waits for a later one. */
async function ifPossible<T>({ log }: Pick<RegistryParts, 'log'>, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    log.debug({ err: asFleetwireError(error) }, 'a part of a heartbeat is left for a later one');
    return undefined;
  }
}
