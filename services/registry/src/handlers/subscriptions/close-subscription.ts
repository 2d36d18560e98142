/** ListSubscriptions and CloseSubscription, and what closes one without being asked: its person or API key is gone. */

import type { OrgAccess } from '@fleetwire/access';
import { SUBSCRIBER_LIMITS } from '@fleetwire/contract';
import type {
  CloseSubscriptionRequest,
  CloseSubscriptionResponse,
  ListSubscriptionsRequest,
  ListSubscriptionsResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import type { OrgDirectory } from '@fleetwire/runtime';
import { requirePerson } from '../../domain/agent-callers.ts';
import { requireOpen } from '../../domain/orgs.ts';
import { checkedWhat, isAdmin, subscriptionUnknown } from '../../domain/subscriptions.ts';
import type { SubscriptionRow } from '../../store/entities.ts';
import type { RegistryParts } from '../parts.ts';
import { consumerOf, shownSubscription, tellOfSubscription } from './shown-subscription.ts';

export async function listSubscriptions(
  parts: RegistryParts,
  _request: ListSubscriptionsRequest,
  caller: Caller,
): Promise<ListSubscriptionsResponse> {
  const { org, actor } = requirePerson(caller, ['read', 'admin']);
  const rows = await parts.subscriptions.ofOrg(org);
  const shown = isAdmin(caller) ? rows : rows.filter(({ owner }) => owner === actor);
  return { subscriptions: await Promise.all(shown.map((row) => shownSubscription(parts, row))) };
}

/** Throws SUBSCRIPTION_UNKNOWN. */
export async function closeSubscription(
  parts: RegistryParts,
  request: CloseSubscriptionRequest,
  caller: Caller,
): Promise<CloseSubscriptionResponse> {
  const what = checkedWhat(request.what);
  const { org, actor } = requirePerson(caller, ['read', 'admin']);
  requireOpen(parts.orgs, org);
  const row = await parts.subscriptions.byName({ org, what, name: request.name });
  if (row === undefined || (row.owner !== actor && !isAdmin(caller)))
    throw subscriptionUnknown(what, request.name);
  await close(parts, row, actor);
  return {};
}

type CloseParts = Pick<
  RegistryParts,
  'subscriptions' | 'consumers' | 'settleKeys' | 'announcer' | 'clock' | 'log'
>;

/** The servers refuse its key when this resolves; upkeep tells them where they cannot be told now. */
async function close(parts: CloseParts, row: SubscriptionRow, actor: string): Promise<void> {
  const now = nowMs(parts.clock);
  if (!(await parts.subscriptions.close(row, now))) return;
  tellOfSubscription(parts, 'subscription_closed', row, actor, now);
  // Should that not be reached, the consumer goes by itself after a day without a pull.
  const { stream, consumer } = consumerOf(row);
  await parts.consumers.remove(stream, consumer);
  await parts.settleKeys(row.org);
}

const LAPSED_MS = SUBSCRIBER_LIMITS.inactiveS * 1000;

/** Those that nobody has followed for a day, whose places are forgotten; gives how many. */
export async function closeLapsed(parts: CloseParts, org: string): Promise<number> {
  const untilMs = nowMs(parts.clock) - LAPSED_MS;
  let closed = 0;
  for (const row of await parts.subscriptions.ofOrg(org)) {
    if (row.openedAtMs > untilMs) continue;
    const { stream, consumer } = consumerOf(row);
    if ((await parts.consumers.info(stream, consumer)) !== undefined) continue;
    await close(parts, row, 'registry');
    closed++;
  }
  return closed;
}

/** At every replica, on each change of an org: one statement decides which of them has closed a subscription. */
export class SubscriptionWatch {
  readonly name = 'subscriptions';
  readonly #parts: CloseParts;
  readonly #orgs: Pick<OrgDirectory, 'all' | 'onChange'>;
  /** Org to the version that was seen to. */
  readonly #done = new Map<string, number>();
  #unfollow: () => void = () => undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(parts: CloseParts, orgs: Pick<OrgDirectory, 'all' | 'onChange'>) {
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

  /** Looks at every org that was not seen to. */
  again(): void {
    for (const org of this.#orgs.all()) this.#soon(org);
  }

  #soon(access: OrgAccess): void {
    const { org, departed, revocations, version } = access.state;
    if (departed.length === 0 && revocations.length === 0) return;
    if (version <= (this.#done.get(org) ?? -1)) return;
    this.#work = this.#work.then(() => this.#see(access));
  }

  async #see(access: OrgAccess): Promise<void> {
    const { org, departed, version } = access.state;
    if (version <= (this.#done.get(org) ?? -1)) return;
    const gone = new Set(departed.map(({ user }) => user));
    try {
      for (const row of await this.#parts.subscriptions.ofOrg(org)) {
        const { owner: user, apiKey: key, openedAtMs: issuedAtMs } = row;
        if (gone.has(user) || access.revoked({ user, key, issuedAtMs }) !== undefined)
          await close(this.#parts, row, 'registry');
      }
      this.#done.set(org, version);
    } catch (error) {
      const fields = { err: asFleetwireError(error), org };
      this.#parts.log.warn(fields, 'subscriptions of members who have left are not closed yet');
    }
  }
}
