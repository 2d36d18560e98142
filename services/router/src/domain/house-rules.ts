/** What an org's policies and the router's own limits say of a message, beside where it goes. */

import type { Decision, OrgAccess } from '@fleetwire/access';
import { Envelope } from '@fleetwire/gen/message';
import { isName } from '@fleetwire/kernel';
import { BusyNotices } from './busy-notices.ts';
import { DenialTally } from './denial-tally.ts';
import type { FanOut, NodeShare } from './fan-out.ts';
import type { InboxItem, Mail } from './items.ts';
import { type Overrun, RateLimits, type RateOptions } from './rate-limits.ts';
import type { RouteEntry, RoutingTable } from './routing-table.ts';

export interface HouseRulesOptions {
  /** What is known of an org; undefined: nothing yet, so that nothing is refused. */
  readonly access: (org: string) => OrgAccess | undefined;
  readonly rates: RateOptions;
  /** Within this time a denial of the same pair is only counted. */
  readonly denialsEveryMs: number;
  /** How long a node is asked to hold back what is meant for an agent whose inbox is full. */
  readonly inboxFullRetryMs: number;
}

/** A node is told once a second at most that it sends too much. */
export const TOO_MUCH_EVERY_MS = 1000;

/** A message to many, without those that its sender may not message. */
export interface Admitted {
  readonly found: FanOut;
  /** How many were left out; the decision about one of them. */
  readonly left: number;
  readonly decision: Decision | undefined;
}

/** Of one router, shared by its partitions; keeps what is to be told beside the streams until somebody takes it. */
export class HouseRules {
  readonly busy = new BusyNotices();
  readonly denials: DenialTally;
  readonly #options: HouseRulesOptions;
  readonly #rates: RateLimits;

  constructor(options: HouseRulesOptions) {
    this.#options = options;
    this.#rates = new RateLimits(options.rates);
    this.denials = new DenialTally({ everyMs: options.denialsEveryMs });
  }

  /** Why the message is one too many; undefined: it is not. Takes from the buckets. */
  overrun(table: RoutingTable, mail: Mail): Overrun | undefined {
    const access = this.#options.access(mail.slot.org);
    const ofAgent = access?.limitsRates === true ? this.#overrunOfAgent(table, mail, access) : undefined;
    if (ofAgent !== undefined || !this.#rates.limitsNodes) return ofAgent;
    const metered = meteredOf(mail);
    const ofNode = this.#rates.ofNode(metered);
    const wait = ofNode?.retryAfterMs ?? this.#rates.nearlyEmpty(metered);
    if (wait !== undefined) this.#tooMuch(mail, wait, metered.storedAtMs);
    return ofNode;
  }

  /** The decision by which this recipient may not have it; undefined: it may. */
  denial(table: RoutingTable, mail: Mail, to: RouteEntry, nowUs: number): Decision | undefined {
    const access = this.#options.access(mail.slot.org);
    if (access === undefined || !access.restrictsMessages) return undefined;
    return this.#denied(access, mail, nameOf(table, mail), to, nowUs);
  }

  /** Without those who may not have it. */
  admitted(table: RoutingTable, mail: Mail, found: FanOut, nowUs: number): Admitted {
    const { org } = mail.slot;
    const access = this.#options.access(org);
    if (access === undefined || !access.restrictsMessages) return { found, left: 0, decision: undefined };
    const actor = nameOf(table, mail);
    return narrow(found, (to) => this.#denied(access, mail, actor, to, nowUs));
  }

  /** As `admitted`, without a message: nobody is told. Where nobody is left out, the decision is one that allows. */
  narrowed(org: string, actor: string, found: FanOut): Admitted {
    const decide = (to: RouteEntry) => this.decide(org, actor, to.name);
    const narrower = narrow(found, (to) => {
      const decision = decide(to);
      return decision?.allowed === false ? decision : undefined;
    });
    const first = found.shares[0]?.recipients[0];
    return { ...narrower, decision: narrower.decision ?? (first && decide(first)) };
  }

  /** Which agents may be picked for a message to whoever can do something; undefined: any. */
  picks(org: string, actor: string): ((to: RouteEntry) => boolean) | undefined {
    const access = this.#options.access(org);
    if (access === undefined || !access.restrictsMessages) return undefined;
    return (to) => access.decide({ action: 'message', actor, target: to.name }).allowed;
  }

  /** The same for this message. */
  picksFor(table: RoutingTable, mail: Mail): ((to: RouteEntry) => boolean) | undefined {
    const access = this.#options.access(mail.slot.org);
    return access?.restrictsMessages === true ? this.picks(mail.slot.org, nameOf(table, mail)) : undefined;
  }

  /** As `denial` decides, without a message: nobody is told. Undefined: nothing is known of the org. */
  decide(org: string, actor: string, target: string): Decision | undefined {
    return this.#options.access(org)?.decide({ action: 'message', actor, target });
  }

  /** Its inbox has refused it; by `lane`, where that of many says nothing of one agent. */
  inboxFull({ slot, route }: InboxItem, lane: string, nowUs: number): void {
    if (lane !== route.subject) return;
    const retryAfterMs = this.#options.inboxFullRetryMs;
    const busy = {
      org: slot.org,
      node: slot.node,
      reason: 'inbox_full',
      retryAfterMs,
      about: route,
    } as const;
    this.busy.note(busy, retryAfterMs, nowUs / 1000);
  }

  #overrunOfAgent(table: RoutingTable, mail: Mail, access: OrgAccess): Overrun | undefined {
    const limit = access.limitsFor({ name: nameOf(table, mail) }).rateLimitPerMinute;
    if (limit === undefined) return undefined;
    const { fromAgent, acceptedAtUs, attempt } = mail.header;
    const metered = meteredOf(mail);
    // A replay counts as sent now, whenever the message was accepted.
    const sentAtMs = attempt > 0 ? metered.storedAtMs : acceptedAtUs / 1000;
    return this.#rates.ofAgent(metered, fromAgent, limit.value, sentAtMs);
  }

  #denied(access: OrgAccess, mail: Mail, actor: string, to: RouteEntry, nowUs: number) {
    const decision = access.decide({ action: 'message', actor, target: to.name });
    if (decision.allowed) return undefined;
    const { org } = mail.slot;
    const pair = { actor: mail.header.fromAgent, actorName: actor, target: to.agent, targetName: to.name };
    this.denials.note({ org, ...pair, decision }, nowUs / 1000);
    return decision;
  }

  #tooMuch({ slot }: Mail, retryAfterMs: number, nowMs: number): void {
    const busy = { org: slot.org, node: slot.node, reason: 'rate_limited', retryAfterMs } as const;
    this.busy.note(busy, TOO_MUCH_EVERY_MS, nowMs);
  }
}

function narrow(found: FanOut, denied: (to: RouteEntry) => Decision | undefined): Admitted {
  let decision: Decision | undefined;
  let count = 0;
  const shares: NodeShare[] = [];
  for (const { place, recipients } of found.shares) {
    const some = recipients.filter((to) => {
      const refused = denied(to);
      decision ??= refused;
      return refused === undefined;
    });
    count += some.length;
    if (some.length > 0) shares.push({ place, recipients: some });
  }
  return { found: { ...found, shares, count }, left: found.count - count, decision };
}

function meteredOf({ slot }: Mail) {
  return { org: slot.org, node: slot.node, storedAtMs: Math.floor(slot.atUs / 1000) };
}

/** By the table; of an agent that is not in it (not yet, or no longer), what its node says, where that is a name. */
function nameOf(table: RoutingTable, { slot, header, envelope }: Mail): string {
  const known = table.agent(slot.org, header.fromAgent);
  if (known !== undefined) return known.name;
  const { fromName } = Envelope.decode(envelope);
  return isName(fromName) ? fromName : '';
}
