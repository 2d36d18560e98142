/** Which way a message goes: whom of this node it is for, whether the policies allow it, and what has to go through the hub. */

import type { Decision, OrgAccess } from '@fleetwire/access';
import {
  type Address,
  type AgentAddress,
  type Clock,
  FleetwireError,
  isToMany,
  type ManyAddress,
  type PriorityLevel,
  printable,
} from '@fleetwire/kernel';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Denials } from '../domain/denials.ts';
import { isMeant, meantHere, type NodeView, staysHere } from '../domain/meant-here.ts';
import { rateLimited, SendingLimits } from '../domain/sending-limits.ts';

/** What the hub has told this node of its org. */
export interface OrgKnowledge extends Pick<NodeView, 'members'> {
  /** Undefined: nothing of its policies yet, so nothing is refused by them. */
  access(): OrgAccess | undefined;
  /** Does the agent get no mail to many, since its workspace is suspended? */
  suspended(agent: string): boolean;
}

/** Before the hub has said anything. */
export const NOTHING_KNOWN: OrgKnowledge = {
  access: () => undefined,
  members: () => undefined,
  suspended: () => false,
};

export interface Way {
  /** Agents of this node that get it at once. */
  readonly here: readonly HostedAgent[];
  /** Nobody elsewhere is meant: the hub gets a copy for history only. */
  readonly stays: boolean;
  /** To many, and nobody of this node needs it from the hub any more: routers leave the node out. */
  readonly served: boolean;
  /** Id of the one agent that it is for, if that gets it here; else empty. */
  readonly localAgent: string;
  /** Agents of this node that get it through the hub: what the sender writes to them next must not overtake it. */
  readonly behind: readonly HostedAgent[];
}

export interface WaysParts {
  readonly nodeName: string;
  readonly book: AgentBook;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly denials: Denials;
  readonly knowledge: { readonly current: OrgKnowledge };
}

const THROUGH_HUB: Way = { here: [], stays: false, served: false, localAgent: '', behind: [] };

export class Ways {
  readonly #parts: WaysParts;
  readonly #limits = new SendingLimits();

  constructor(parts: WaysParts) {
    this.#parts = parts;
  }

  /** Throws MESSAGE_DENIED, or ORG_CLOSED, when the policies do not let `sender` write to the one agent that is named. */
  of(sender: HostedAgent, address: Address, level: PriorityLevel): Way {
    if (isToMany(address)) return this.#toMany(sender, address, level);
    return address.kind === 'agent' ? this.#toOne(sender, address, level) : THROUGH_HUB;
  }

  /** Counts a message that nothing else refuses. Throws RATE_LIMITED. */
  spend(sender: HostedAgent): void {
    const access = this.#parts.knowledge.current.access();
    const limit = access?.limitsFor({ name: sender.name }).rateLimitPerMinute;
    const taken = this.#limits.take(sender, limit?.value, this.#parts.clock.monotonicMs());
    if (taken.ok || access === undefined || limit === undefined) return;
    const policyName = access.state.policies.find(({ id }) => id === limit.policy)?.name ?? '';
    throw rateLimited(sender.name, { ...limit, policyName }, taken.retryAfterMs);
  }

  #toOne(sender: HostedAgent, address: AgentAddress, level: PriorityLevel): Way {
    const denied = this.#denial(sender, address.name);
    if (denied !== undefined) throw messageDenied(sender.name, address.name, denied);
    const found = this.#parts.book.byName(address.name);
    if (found === undefined || !isMeant(address, found, this.#parts.nodeName)) return THROUGH_HUB;
    if (mayGetNow(found, sender, level))
      return { ...THROUGH_HUB, here: [found], stays: true, localAgent: found.id };
    return { ...THROUGH_HUB, behind: [found] };
  }

  /**
   * Who can get it at once does, also when others of this node must get it from the hub: then the hub brings it to all of
   * them, and whoever has it knows it again by its id.
   */
  #toMany(sender: HostedAgent, address: ManyAddress, level: PriorityLevel): Way {
    const { book, nodeName, knowledge } = this.#parts;
    const view = knowledge.current;
    const meant = meantHere(address, { nodeName, members: (kind, name) => view.members(kind, name) });
    if (meant === undefined) return THROUGH_HUB;
    const may = (agent: HostedAgent) =>
      agent !== sender &&
      meant(agent) &&
      !view.suspended(agent.id) &&
      this.#denial(sender, agent.name) === undefined;
    const here: HostedAgent[] = [];
    const behind: HostedAgent[] = [];
    for (const agent of book.present())
      if (may(agent)) (mayGetNow(agent, sender, level) ? here : behind).push(agent);
    // To routers it may still live here, so this node has to send it on to where it went.
    const served = behind.length === 0 && !book.allLeaving().some(may);
    // Where nobody is there it is the hub that says so.
    const stays = served && here.length > 0 && staysHere(address, nodeName);
    return { here, stays, served, localAgent: '', behind };
  }

  /** Noted for the audit; undefined: it may. */
  #denial({ id: actor, name: actorName }: HostedAgent, targetName: string): Decision | undefined {
    const access = this.#parts.knowledge.current.access();
    const decision = access?.decide({ action: 'message', actor: actorName, target: targetName });
    if (decision === undefined || decision.allowed) return undefined;
    const { reason, matchedPolicy: policy, explanation } = decision;
    this.#parts.denials.note({ actor, actorName, targetName, reason, policy, explanation });
    return decision;
  }
}

/** Earlier mail for an agent that has just come may be under way through the hub: nothing may overtake it. */
function mayGetNow({ moving, fence }: HostedAgent, sender: HostedAgent, level: PriorityLevel): boolean {
  return moving.arriving === 0 && fence.lets(sender.id, level);
}

function messageDenied(actor: string, target: string, denied: Decision): FleetwireError {
  const { reason, explanation, matchedPolicy, matchedPolicyName, matchedRule } = denied;
  const said = `${actor} may not message "${printable(target)}": ${explanation}`;
  return new FleetwireError('permission_denied', reason, said, {
    help: 'Ask an admin of the org; `fleetwire policy test` says what the policies allow.',
    details: {
      policy: matchedPolicyName,
      policy_id: matchedPolicy,
      rule: String(matchedRule + 1),
    },
  });
}
