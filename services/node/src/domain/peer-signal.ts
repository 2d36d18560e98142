/** What a control frame says to this node, once it is clear that its sender may say so. */

import { isSubjectToken } from '@fleetwire/contract';
import { PeerFrame } from '@fleetwire/gen/message';
import { foldName, isName } from '@fleetwire/kernel';

/** Ask the registry: its answer to a heartbeat has news. */
export interface Nudge {
  readonly kind: 'nudge';
  /** For the log. */
  readonly why: string;
}

/** Whose mail a signal is about. */
interface Whose {
  /** Id of the agent; empty: whatever this node sends. */
  readonly agent: string;
  /** Its name as it is written. */
  readonly name: string;
  /** The name of its node, folded. */
  readonly node: string;
  /** The last token of the frame's subject. */
  readonly publisher: string;
  readonly seq: number;
}

export interface Busy extends Whose {
  readonly kind: 'busy';
  readonly reason: string;
  readonly retryAfterMs: number;
}

export interface Ready extends Whose {
  readonly kind: 'ready';
  readonly credits: number;
}

export type PeerSignal = Nudge | Busy | Ready;

const REGISTRY = 'registry';
/** As the publisher of a signal: any router, who may speak of all agents. */
export const ROUTER = 'router';
const OF_AN_AGENT: ReadonlySet<string> = new Set(['queue_full', 'inbox_full']);
/** Nothing at all may go, not even one message at a time. */
export const STOP = 'ingress_budget';
const OF_A_NODE: ReadonlySet<string> = new Set(['rate_limited', 'unfair_share', STOP]);

/**
 * `from`: the last token of the subject, which the servers vouch for. Undefined for what cannot be read, for what makes no
 * sense, and for what `from` has no say in: a node speaks of its own agents, a router of any, the registry has news. A
 * registry's frame that cannot be read is as good a reason to ask as any.
 */
export function peerSignal(from: string, encoded: Uint8Array): PeerSignal | undefined {
  const frame = read(encoded);
  if (from === REGISTRY) return { kind: 'nudge', why: frame?.nudge ?? '' };
  if (frame?.busy !== undefined) return busyOf(from, frame.busy);
  if (frame?.ready !== undefined) return readyOf(from, frame.ready);
  return undefined;
}

function busyOf(from: string, busy: NonNullable<PeerFrame['busy']>): Busy | undefined {
  const { reason, retryAfterMs } = busy;
  if (retryAfterMs === 0) return undefined;
  if (busy.agent === '') {
    if (from !== ROUTER || !OF_A_NODE.has(reason)) return undefined;
    const all = { agent: '', name: '', node: '', publisher: from, seq: busy.seq };
    return { kind: 'busy', ...all, reason, retryAfterMs };
  }
  const whose = OF_AN_AGENT.has(reason) ? whoseOf(from, busy) : undefined;
  return whose && { kind: 'busy', ...whose, reason, retryAfterMs };
}

function readyOf(from: string, ready: NonNullable<PeerFrame['ready']>): Ready | undefined {
  const whose = whoseOf(from, ready);
  return whose && { kind: 'ready', ...whose, credits: ready.credits };
}

type Named = Pick<NonNullable<PeerFrame['ready']>, 'agent' | 'name' | 'node' | 'nodeName' | 'seq'>;

function whoseOf(publisher: string, { agent, name, node, nodeName, seq }: Named): Whose | undefined {
  if (publisher !== ROUTER && publisher !== node) return undefined;
  if (!isSubjectToken(agent) || !isSubjectToken(node) || !isName(name) || !isName(nodeName)) return undefined;
  return { agent, name, node: foldName(nodeName), publisher, seq };
}

function read(encoded: Uint8Array): PeerFrame | undefined {
  try {
    return PeerFrame.decode(encoded);
  } catch {
    return undefined;
  }
}
