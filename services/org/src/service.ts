/** The wiring of the org service: tenants, people, keys. */

import { keysFolder } from '@fleetwire/config';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { hashSecret, loadFirstApiKey } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { bindService, callerOf } from '@fleetwire/rpc';
import {
  defineService,
  type RunningService,
  type RunOptions,
  runService,
  type ServiceContext,
} from '@fleetwire/runtime';
import { orgSection } from './config.ts';
import { keyPrefix } from './domain/api-keys.ts';
import { createApiKey, listApiKeys, revokeApiKey } from './handlers/api-keys.ts';
import { exchangeKey } from './handlers/exchange-key.ts';
import { getOrg } from './handlers/get-org.ts';
import { createJoinToken, redeemJoinToken } from './handlers/join-tokens.ts';
import { nowMs, type OrgParts } from './handlers/parts.ts';
import { apiKeyRows } from './store/api-keys.ts';
import { entities } from './store/entities.ts';
import { joinTokenRows } from './store/join-tokens.ts';
import { migrations } from './store/migrations.ts';
import { seedOrg } from './store/seed.ts';

export { orgSection };

const config = { org: orgSection };
type Context = ServiceContext<typeof config>;

export const org = defineService({
  name: 'org',
  config,
  store: { entities, migrations },
  // Nothing of org travels over the broker yet; what it is needed for is the fabric's one clock.
  broker: { streams: [] },
  async wire(context) {
    await seed(context);
    return { rpc: [bindOrg(partsOf(context))] };
  },
});

/** Runs one replica. */
export function start(options?: RunOptions<typeof config>): Promise<RunningService> {
  return runService(org, options);
}

/** The orgs of the keys folder become rows at the first start that finds none. */
async function seed(context: Context): Promise<void> {
  const { trust, store, log } = context;
  const firstKey = await loadFirstApiKey(keysFolder(context.config));
  for (const [index, { id, slug, name, ownerEmail }] of trust.orgs.entries()) {
    const key = index === 0 && firstKey !== undefined ? storedKey(firstKey) : undefined;
    const { created } = await seedOrg(store, {
      org: { id, slug, name },
      ownerEmail: context.config.org.owner_email ?? ownerEmail ?? `owner@${slug}.invalid`,
      ownerId: newId('user'),
      key,
      nowMs: nowMs(context.clock),
    });
    if (created) log.info({ org: id, slug }, 'org created');
  }
}

function storedKey(key: string) {
  return { id: newId('key'), hash: hashSecret(key), prefix: keyPrefix(key) };
}

function partsOf(context: Context): OrgParts {
  return {
    keys: apiKeyRows(context.store),
    joinTokens: joinTokenRows(context.store),
    tokens: context.tokens,
    clock: context.clock,
    config: context.config.org,
  };
}

function bindOrg(parts: OrgParts) {
  return bindService(
    OrgServiceDefinition,
    {
      exchangeKey: (request) => exchangeKey(parts, request),
      getOrg: (_request, call) => getOrg(parts, callerOf(call)),
      createApiKey: (request, call) => createApiKey(parts, request, callerOf(call)),
      listApiKeys: (_request, call) => listApiKeys(parts, callerOf(call)),
      revokeApiKey: (request, call) => revokeApiKey(parts, request, callerOf(call)),
      createJoinToken: (request, call) => createJoinToken(parts, request, callerOf(call)),
      redeemJoinToken: (request, call) => redeemJoinToken(parts, request, callerOf(call)),
    },
    { auth: { exchangeKey: 'none' } },
  );
}
