/**
 * All that there is of one org that was deleted, everywhere, without ids and moments, to be compared with another one. What
 * was told and audited begins with the deletion: before it, billing and letters come in whatever order.
 */

import type { Broker } from '@fleetwire/broker';
import { filters } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import type { Store } from '@fleetwire/store';
import { type Client, reasonOf } from './fixture.ts';
import type { SoldWorld } from './sold-world.ts';

/** Columns that are moments, secrets, or differ by nature: only whether they are set. */
const SET_OR_NOT = /(_at_ms|_until_ms|_hash|hash|prefix|customer_id|subscription_id)$/;

export interface Watched {
  readonly org: string;
  /** API keys whose usability is part of the picture, by a name for each. */
  readonly keys: Readonly<Record<string, string>>;
}

export interface SnapshotOf {
  readonly store: Store;
  readonly broker: Broker;
  readonly stripe: SoldWorld['stripe'];
  readonly published: SoldWorld['world']['published'];
  readonly anyone: Client;
}

export async function snapshot(at: SnapshotOf, { org, keys }: Watched): Promise<unknown> {
  const { store } = at;
  const labels = await labelsOf(store, org);
  const plain = (value: unknown) => relabel(value, labels);
  const rows = async (sql: string) => (await store.query(sql, [org])).map((row) => plain(normal(row)));
  const usable: Record<string, string> = {};
  for (const [name, apiKey] of Object.entries(keys))
    usable[name] = await reasonOf(at.anyone.exchangeKey({ apiKey }));
  const state = await at.published(org);
  const told = await eventsOf(at.broker, org);
  const revocations = state!.revocations.map(({ kind, subject }) => ({ kind, subject }));
  const departed = state!.departed.map(({ user }) => user);
  return {
    org: await rows('select * from orgs where id = $1'),
    memberships: await rows('select * from memberships where org = $1 order by joined_at_ms'),
    former: await rows('select * from former_memberships where org = $1 order by joined_at_ms'),
    workspaces: await rows('select * from workspaces where org = $1 order by name'),
    repos: await rows('select url, default_branch from repos where org = $1 order by url'),
    assignments: await rows('select agent, workspace from assignments where org = $1 order by agent'),
    invites: await rows('select * from invites where org = $1 order by created_at_ms, id'),
    mails: await rows('select state, body from mails where org = $1 order by recipient'),
    joinTokens: await rows(
      'select created_by, used_by, expires_at_ms <= extract(epoch from now()) * 1000 as over from join_tokens where org = $1',
    ),
    policies: await rows('select level, subject, name from policies where org = $1 order by name'),
    apiKeys: await rows(
      'select name, scopes, user_id, revoked_at_ms from api_keys where org = $1 order by created_at_ms',
    ),
    outbox: await rows('select name from event_outbox where org = $1'),
    usable,
    subscriptions: at.stripe.model
      .subscriptionsOf(org)
      .map(({ status, items }) => [status, items.data.map(({ price, quantity }) => [price.id, quantity])]),
    published: plain({ ...state, revocations, departed }),
    audit: await rows(
      `select actor_kind, actor, action, target, decision, reason from audit a where org = $1
         and id >= (select min(id) from audit where org = a.org and action = 'org.delete') order by id`,
    ),
    events: plain(told.slice(told.findIndex((name) => name.startsWith('org_deletion_started')))),
  };
}

/** Names and details of what was told of an org, in order; throws when an id comes twice. */
export async function eventsOf(broker: Broker, org: string): Promise<readonly string[]> {
  const told: string[] = [];
  const ids = new Set<string>();
  for (let sequence = 1; ; ) {
    const message = await broker.messages.nextBySubject('EVENTS', filters.eventsOf(org, 'org'), sequence);
    if (message === undefined) return told;
    const { id, name, actor, target } = Event.decode(message.data);
    if (ids.has(id)) throw new Error(`the event ${name} was published twice`);
    ids.add(id);
    told.push(`${name} of ${target} by ${actor}`);
    sequence = message.sequence + 1;
  }
}

function normal(row: object): object {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [column, SET_OR_NOT.test(column) ? value !== null : value]),
  );
}

/** What stands for each id: what people call it. */
async function labelsOf(store: Store, org: string): Promise<ReadonlyMap<string, string>> {
  const [own] = await store.query<{ slug: string }>('select slug from orgs where id = $1', [org]);
  const named = await store.query<{ id: string; label: string }>(
    `select user_id as id, split_part(u.email, '@', 1) as label from api_keys k join users u on u.id = k.user_id where k.org = $1
     union select id, 'workspace ' || name from workspaces where org = $1
     union select id, 'invite for ' || coalesce(split_part(email, '@', 1), 'anybody') from invites where org = $1
     union select id, 'policy ' || name from policies where org = $1
     union select id, 'key' from api_keys where org = $1`,
    [org],
  );
  return new Map([
    [org, 'the org'],
    [own!.slug, 'the slug'],
    ...named.map(({ id, label }) => [id, label] as const),
  ]);
}

function relabel(value: unknown, labels: ReadonlyMap<string, string>): unknown {
  let text = JSON.stringify(value);
  for (const [id, label] of labels) text = text.replaceAll(id, label);
  return JSON.parse(text);
}
