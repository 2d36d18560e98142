/** The accounts of orgs at the NATS servers, with the keys of nodes that they are to refuse. */

import { keysFolder } from '@fleetwire/config';
import { OrgAccounts } from '@fleetwire/runtime';
import { forgetReopened } from '../handlers/revoke-nodes.ts';
import type { NodeKeys } from '../store/node-keys.ts';
import type { Context } from './context.ts';

/** Undefined: the server keeps no accounts. */
export function accountKeys({ config: { nats, common, keys } }: Context): string | undefined {
  return nats.single_tenant ? undefined : keysFolder({ common, keys });
}

export function accountsOf({ broker, orgs, config }: Context, removed: NodeKeys): OrgAccounts {
  const { nats, common, keys, registry: set } = config;
  const natsUrls = nats.url.split(',').map((url) => url.trim());
  const revoked = (org: string) => removed.revocations(org, set.removed_keys_max);
  const accounts = new OrgAccounts({ keysDir: keysFolder({ common, keys }), natsUrls, revoked });
  broker.onGeneration(() => accounts.forget());
  forgetReopened(orgs, accounts);
  return accounts;
}
