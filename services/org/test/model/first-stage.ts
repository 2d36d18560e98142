/** What each run of the property tests begins with: two orgs of two owners, one of them with an admin and a member. */

import { secretOf } from '../fixture.ts';
import type { SoldWorld } from '../sold-world.ts';
import { newKey, type Stage } from './operation.ts';
import { Model, ModelOrg } from './org-model.ts';
import { FIRST_KEY_SCOPES } from './people-operations.ts';

const PEOPLE = 6;

/** `prefix` is in every slug and address, so that runs do not meet. */
export async function firstStage(sold: SoldWorld, prefix: string): Promise<Stage> {
  const people = Array.from({ length: PEOPLE }, (_, n) => `p${n}@${prefix}.test`);
  const stage: Stage = { model: new Model(people), sold, prefix };
  const first = await newOrg(stage, `${prefix}-first`, 'team', people[0]!);
  await newOrg(stage, `${prefix}-second`, 'pro', people[1]!);
  await joining(stage, first, people[2]!, 'admin');
  await joining(stage, first, people[3]!, 'member');
  return stage;
}

async function newOrg(stage: Stage, slug: string, plan: string, email: string): Promise<ModelOrg> {
  const { operator } = stage.sold;
  const request = { name: slug, slug, plan, ownerEmail: email };
  const { org: made, secret } = await operator.createOrg(request);
  const org = new ModelOrg(made!.id, slug, plan);
  const { user } = (await operator.listMembers({ org: org.id })).members[0]!;
  stage.model.users.set(user, email);
  org.join(user, email, 'owner');
  org.keys.push(await newKey(stage, user, secret, FIRST_KEY_SCOPES));
  stage.model.orgs.push(org);
  return org;
}

async function joining(stage: Stage, org: ModelOrg, email: string, role: 'admin' | 'member'): Promise<void> {
  const { world, replicas } = stage.sold;
  const owner = await world.as(replicas[0], org.keys[0]!.secret);
  const { invite, url } = await owner.createInvite({ email, role });
  const secret = secretOf(url);
  const { user, apiKey } = await world.client(replicas[1]).acceptInvite({ secret, email });
  stage.model.users.set(user, email);
  org.invites.push({ id: invite!.id, secret, email, role, by: org.owner.user, state: 'used' });
  org.join(user, email, role);
  org.keys.push(await newKey(stage, user, apiKey, FIRST_KEY_SCOPES));
}
