/** Members who have left an org, and API keys that were revoked: what came in by them is shut out. */

import type { OrgAccess } from '@fleetwire/access';
import { nowMs } from '@fleetwire/kernel';
import { type OrgDirectory, Rounds } from '@fleetwire/runtime';
import { isClosed } from '../domain/orgs.ts';
import { tellOfNode, tellPresenceIfPossible } from './node-news.ts';
import type { RegistryParts } from './parts.ts';
import { closeRevoked, type RevokedParts } from './subscriptions/revoked.ts';

type NodeParts = Pick<
  RegistryParts,
  'nodeKeys' | 'known' | 'nodeRoutes' | 'announcer' | 'presence' | 'nudge' | 'settleKeys' | 'clock' | 'log'
>;

/** Credentials that another replica makes at this moment, whose broker time is a little ahead, are refused too. */
const AHEAD_S = 2;
const RETRY = { initialMs: 200, maxMs: 10_000 } as const;
/** While nobody leaves there is nothing to do but wait to be woken. */
const IDLE_MS = 60_000;

/**
 * At every replica, on each change: one statement decides which of them has shut a node out or closed a subscription, and upkeep
 * completes what is cut short. What fails is tried again, here. Nodes go by users alone: moments are in no order with versions,
 * nor with joins under way.
 */
export class Departures {
  readonly name = 'departures';
  readonly #parts: NodeParts & RevokedParts;
  readonly #orgs: Pick<OrgDirectory, 'all' | 'onChange'>;
  readonly #rounds: Rounds;
  /** Orgs that are to be seen to, as they were told last. */
  readonly #due = new Map<string, OrgAccess>();
  /** Org to those whose nodes were shut out. */
  readonly #shutOut = new Map<string, ReadonlySet<string>>();
  #unfollow: () => void = () => undefined;

  constructor(parts: NodeParts & RevokedParts, orgs: Pick<OrgDirectory, 'all' | 'onChange'>) {
    this.#parts = parts;
    this.#orgs = orgs;
    const work = (stopping: AbortSignal) => this.#seeToAll(stopping);
    this.#rounds = new Rounds({ name: this.name, intervalMs: IDLE_MS, log: parts.log, work, retry: RETRY });
  }

  start(): void {
    this.#unfollow = this.#orgs.onChange((org) => this.#note(org));
    for (const org of this.#orgs.all()) this.#note(org);
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    await this.#rounds.stop();
  }

  #note(access: OrgAccess): void {
    const { org, departed, revocations } = access.state;
    if (departed.length === 0 && revocations.length === 0 && !isClosed(access)) return;
    this.#due.set(org, access);
    this.#rounds.kick();
  }

  /** One org that fails holds up no other, nor does org, who is asked about subscriptions, the nodes. Throws a failure. */
  async #seeToAll(stopping: AbortSignal): Promise<void> {
    const due = [...this.#due];
    const failures = new Map<string, unknown>();
    for (const see of [
      (access: OrgAccess) => this.#shutOutAll(access),
      (access: OrgAccess) => closeRevoked(this.#parts, access),
    ])
      for (const [org, access] of due) {
        if (stopping.aborted) return;
        await see(access).catch((error: unknown) => failures.set(org, error));
      }
    // Told anew meanwhile, it stays due.
    for (const [org, access] of due)
      if (!failures.has(org) && this.#due.get(org) === access) this.#due.delete(org);
    for (const failed of failures.values()) throw failed;
  }

  async #shutOutAll({ state: { org, departed } }: OrgAccess): Promise<void> {
    const users = new Set(departed.map(({ user }) => user));
    const before = this.#shutOut.get(org);
    for (const user of users) if (!before?.has(user)) await shutOutNodes(this.#parts, org, user);
    if (users.size > 0) this.#shutOut.set(org, users);
  }
}

/** The nodes that belong to `user`, known to have left. Rejects when the servers cannot be told now: then upkeep does. */
export async function shutOutNodes(parts: NodeParts, org: string, user: string): Promise<void> {
  const { nodeKeys, known, nudge, settleKeys, clock, log } = parts;
  const now = nowMs(clock);
  const untilS = Math.floor(now / 1000) + AHEAD_S;
  const nodes = await nodeKeys.shutOut(org, user, now, untilS);
  if (nodes.length === 0) return;
  for (const node of nodes) {
    await known.fresh(node.id);
    tellOfNode(parts, 'node_shut_out', node, node.epoch, { details: { owner: user } });
    nudge(org, node.id, 'removed');
  }
  log.info({ org, user, nodes: nodes.length }, 'nodes of a departed member are shut out');
  await tellPresenceIfPossible(parts, nodes);
  await settleKeys(org);
}
