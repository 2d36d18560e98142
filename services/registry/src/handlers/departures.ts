/** Members who have left an org: what they had brought in is shut out. */

import type { OrgAccess } from '@fleetwire/access';
import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import type { OrgDirectory } from '@fleetwire/runtime';
import { tellOfNode, tellPresenceIfPossible } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

type DepartureParts = Pick<
  RegistryParts,
  'nodeKeys' | 'known' | 'nodeRoutes' | 'announcer' | 'presence' | 'nudge' | 'settleKeys' | 'clock' | 'log'
>;

/** Credentials that another replica makes at this moment, whose broker time is a little ahead, are refused too. */
const AHEAD_S = 2;

/**
 * At every replica, on each change: one statement decides which of them has shut a node out, and upkeep completes what is cut
 * short. What fails is due again. Goes by users alone: moments are in no order with versions, nor with joins under way.
 */
export class Departures {
  readonly name = 'departures';
  readonly #parts: DepartureParts;
  readonly #orgs: Pick<OrgDirectory, 'all' | 'onChange'>;
  /** Org to the version whose departures were seen to, and who they were. */
  readonly #done = new Map<string, { version: number; users: ReadonlySet<string> }>();
  #unfollow: () => void = () => undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(parts: DepartureParts, orgs: Pick<OrgDirectory, 'all' | 'onChange'>) {
    this.#parts = parts;
    this.#orgs = orgs;
  }

  start(): void {
    this.#unfollow = this.#orgs.onChange((org) => this.#soon(org));
    this.again();
  }

  async stop(): Promise<void> {
    this.#unfollow();
    await this.#work;
  }

  /** Looks at every org whose departures were not all seen to. */
  again(): void {
    for (const org of this.#orgs.all()) this.#soon(org);
  }

  #soon(access: OrgAccess): void {
    const { org, departed, version } = access.state;
    if (departed.length === 0 || version <= (this.#done.get(org)?.version ?? -1)) return;
    this.#work = this.#work.then(() => this.#see(access));
  }

  async #see({ state: { org, departed, version } }: OrgAccess): Promise<void> {
    const done = this.#done.get(org);
    if (done !== undefined && version <= done.version) return;
    const users = new Set(departed.map(({ user }) => user));
    try {
      for (const user of users) if (!done?.users.has(user)) await shutOutNodes(this.#parts, org, user);
      this.#done.set(org, { version, users });
    } catch (error) {
      this.#parts.log.warn(
        { err: asFleetwireError(error), org },
        'nodes of departed members are not shut out yet',
      );
    }
  }
}

/** The nodes that belong to `user`, known to have left. Rejects when the servers cannot be told now: then upkeep does. */
export async function shutOutNodes(parts: DepartureParts, org: string, user: string): Promise<void> {
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
