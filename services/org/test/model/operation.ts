/** What an operation of the property tests is: chosen by numbers, foretold by the model, carried out over gRPC. */

import { hashSecret } from '@fleetwire/identity';
import { eventually } from '@fleetwire/testkit';
import { type Client, reasonOf } from '../fixture.ts';
import type { SoldWorld } from '../sold-world.ts';
import type { Model, ModelKey, ModelOrg, Role } from './org-model.ts';

/** Small numbers out of which an operation makes its choices; they mean something at any state, so shrinking works. */
export interface Dice {
  readonly kind: string;
  readonly replica: 0 | 1;
  readonly org: number;
  readonly who: number;
  readonly a: number;
  readonly b: number;
}

export interface Stage {
  readonly model: Model;
  readonly sold: SoldWorld;
  /** Different in every run, for what must be unique in the fabric. */
  readonly prefix: string;
}

export interface Step {
  /** For people who read a counterexample. */
  readonly says: string;
  /** The key that is exchanged for a token first; or a client that needs none. */
  readonly by: { readonly org: ModelOrg; readonly key: ModelKey } | Client;
  /** The reason of the refusal, or `none`. */
  readonly expect: string;
  /** The call; when it succeeds the model is told. */
  run(client: Client): Promise<void>;
}

/** Undefined: there is nothing that it could be done to. */
export type Operation = (stage: Stage, dice: Dice) => Step | undefined;

export const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!;
export const ADMINS: readonly Role[] = ['owner', 'admin'];
export const OWNER: readonly Role[] = ['owner'];
export const ALL: readonly Role[] = ['owner', 'admin', 'member'];

/** Half of the calls are the owner's, so that something happens; now and then a key is one that was revoked. */
export function actor({ model }: Stage, dice: Dice): { org: ModelOrg; key: ModelKey } | undefined {
  const org = pick(model.orgs, dice.org);
  const good = org.keys.filter(({ revoked }) => !revoked);
  const owners = good.filter((key) => key.user === org.owner.user && key.scopes.includes('admin'));
  const choice = dice.who % 2 === 0 && owners.length > 0 ? owners : good;
  const keys = dice.who % 15 === 14 || choice.length === 0 ? org.keys : choice;
  return { org, key: pick(keys, dice.who >> 1) };
}

/** The first that refuses. */
export const refusals = (...reasons: readonly (string | false | undefined)[]): string =>
  reasons.find((reason): reason is string => typeof reason === 'string') ?? 'none';

/** Some member, former member or stranger. */
export function someUser({ model }: Stage, org: ModelOrg, n: number): string {
  return n % 4 === 3 ? pick([...model.users.keys(), 'u_nobody'], n >> 2) : pick(org.members, n >> 2).user;
}

export async function newKey(
  { sold }: Stage,
  user: string,
  secret: string,
  scopes: readonly string[],
): Promise<ModelKey> {
  const [row] = await sold.store.query<{ id: string }>('select id from api_keys where hash = $1', [
    hashSecret(secret),
  ]);
  return { id: row!.id, secret, user, scopes, revoked: false, token: '' };
}

/** Until both replicas take the org's tokens again. */
export async function open({ sold: { world, replicas } }: Stage, org: ModelOrg): Promise<void> {
  const key = org.keys.find(({ revoked }) => !revoked);
  if (key === undefined) return;
  for (const replica of replicas) {
    const client = await world.as(replica, key.secret);
    await eventually(async () => (await reasonOf(client.getOrg({}))) === 'none');
  }
}
