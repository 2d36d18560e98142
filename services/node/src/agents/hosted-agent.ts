/** One agent that lives on this node, with its queue and with whoever takes its mail at the moment. */

import type { QueueSettings } from '@fleetwire/gen/node';
import type { AgentProfile, Location } from '@fleetwire/gen/registry';
import { keepNewest } from '@fleetwire/kernel';
import { HomeFence } from '../domain/home-fence.ts';
import { AgentQueue, type Entry, type QueueBounds } from '../domain/queue.ts';
import { boundsOf } from '../domain/queue-settings.ts';
import type { AdapterKind, AgentRow, Attempts, ProgramSpec } from '../store/agent-table.ts';
import { AT_HOME, type MovingState } from '../store/moving-table.ts';

/** A session or a program that mail is handed to. */
export interface Taker {
  /** Inside a turn: may `entry` be attempted now, besides what is already? */
  hasRoom(agent: HostedAgent, entry: Entry): boolean;
  /** After the commit that records the attempt; in order. */
  deliver(entries: readonly Entry[]): void;
  /** After a commit: nobody waits for an answer to these any more. Left out by those who cannot be told. */
  cancelled?(ids: readonly string[]): void;
}

/** Why the registry does not take an agent, which goes on on this node all the same. */
export interface RosterRefusal {
  /** Such as NAME_TAKEN or AGENT_MOVED. */
  readonly reason: string;
  readonly message: string;
  /** A name that was free; empty: none is known. */
  readonly suggestion: string;
}

const UNPROVEN_MAX = 10_000;
const CANCELLED_MAX = 1024;

export class HostedAgent {
  readonly num: number;
  id: string;
  readonly localId: string;
  /** The registry's word: it may be renamed there. */
  name: string;
  adapter: AdapterKind;
  spec: ProgramSpec;
  handle: string;
  tokenEpoch: number;
  attempts: Attempts;
  resuming: boolean;
  removed: boolean;
  /** As its program or its owner gave it. */
  profile: AgentProfile | undefined;
  /** Where its program runs now, as far as this node can tell. */
  location: Location | undefined;
  readonly queue: AgentQueue;
  taker: Taker | undefined;
  /** Its senders have been told to hold back: its queue was nearly full, and is not nearly empty yet. */
  busy = false;
  /** Told, inside a turn, when messages have left its queue; undefined: nobody waits for that. */
  roomMade: (() => void) | undefined;
  /** Sequences, by delivery, of messages that ended unconfirmed and may still be proved; the newest UNPROVEN_MAX. */
  readonly unproven = new Map<number, number>();
  /** Ids of messages that were taken back after its session had them. */
  readonly cancelled = new Set<string>();
  /** Monotonic milliseconds until which its session of before the node's start is expected to return. */
  expectedUntilMs = 0;
  /** Where it stands between two nodes. */
  readonly moving: MovingState = { ...AT_HOME };
  readonly fence = new HomeFence();
  /** Mail that waits, beside the queue, for what comes with the agent. */
  readonly heldBack = { count: 0, bytes: 0 };
  /** Registered at the registry since the last start or the registry's forgetting. */
  registered = false;
  /** The registry has its profile as it is now. */
  described = false;
  /** The registry's last word, when that was a refusal. */
  refused: RosterRefusal | undefined;

  readonly #configured: QueueBounds;

  /** `bounds`: of a queue for which nothing else was asked. */
  constructor(row: AgentRow, bounds: QueueBounds) {
    this.#configured = bounds;
    this.num = row.num;
    this.id = row.id;
    this.localId = row.localId;
    this.name = row.name;
    this.adapter = row.adapter;
    this.spec = row.spec;
    this.handle = row.handle;
    this.tokenEpoch = row.tokenEpoch;
    this.attempts = row.attempts;
    this.resuming = row.resuming;
    this.removed = row.removed;
    this.profile = row.profile;
    this.queue = new AgentQueue(boundsOf(row.spec.queue, bounds));
  }

  /** From now on. */
  useQueue(settings: QueueSettings): void {
    this.spec = { ...this.spec, queue: settings };
    this.queue.bounds = boundsOf(settings, this.#configured);
  }

  /** What was taken back from it, for a session that comes back; the newest CANCELLED_MAX. */
  addCancelled(id: string): void {
    this.cancelled.add(id);
    keepNewest(this.cancelled, CANCELLED_MAX);
  }

  addUnproven(delivery: number, seq: number): void {
    this.unproven.set(delivery, seq);
    keepNewest(this.unproven, UNPROVEN_MAX);
  }
}
