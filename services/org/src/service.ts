/** The wiring of the org service: tenants, people, keys, policies, plans, audit. */

import { keysFolder } from '@fleetwire/config';
import { ORG_ACTED, ORG_DENIED, ORG_USAGE, ORGS_BUCKET } from '@fleetwire/contract';
import { hashSecret, loadFirstApiKey, publishedKeys } from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import {
  type Component,
  defineService,
  Rounds,
  type RunningService,
  type RunOptions,
  runService,
  type ServiceContext,
  tenancyFault,
} from '@fleetwire/runtime';
import { createBilling, upkeepLimits } from './billing/billing-keys.ts';
import { BillingUpkeep } from './billing/upkeep.ts';
import { handleWebhook } from './billing/webhook.ts';
import { bindOrg } from './bind.ts';
import { defaultPlan, orgSection } from './config.ts';
import { keyPrefix } from './domain/api-keys.ts';
import { acceptInvite, lookInvite } from './handlers/accept-invite.ts';
import { Denials } from './handlers/denials.ts';
import { nowMs, type OrgParts } from './handlers/parts.ts';
import { HttpListener } from './http/listener.ts';
import type { OrgHttpPorts } from './http/ports.ts';
import { mailing } from './mail/mailing.ts';
import { apiKeyRows } from './store/api-keys.ts';
import { entities } from './store/entities.ts';
import { joinTokenRows } from './store/join-tokens.ts';
import { migrations } from './store/migrations.ts';
import { seedOrg } from './store/seed.ts';
import { HeardEvents } from './telling/heard-events.ts';
import { Relay } from './telling/relay.ts';
import { settling } from './telling/settling.ts';
import { advanceDeletions } from './upkeep/deletion.ts';
import { sweep } from './upkeep/sweep.ts';

export { PERMISSIONS } from './domain/permissions.ts';
export { orgSection };

const SWEEP_MS = 60_000;
/** What a new member is told to do with the key. */
const HOW_TO_USE = [
  'Keep it in a file that only you can read. Commands take it, and the fabric at {org_endpoint}, from the environment:',
  'export FLEETWIRE_API_KEY=$(cat KEY-FILE)',
  'Next time let the command do it: npx fleetwire invite accept LINK --email ADDRESS',
].join('\n');

const config = { org: orgSection };
type Context = ServiceContext<typeof config>;

export const org = defineService({
  name: 'org',
  config,
  store: { entities, migrations },
  broker: { streams: ['EVENTS'], consumers: [ORG_USAGE, ORG_DENIED, ORG_ACTED], buckets: [ORGS_BUCKET] },
  async wire(context) {
    await seed(context);
    const wired = await wireOrg(context);
    return {
      rpc: [bindOrg(wired.parts)],
      components: wired.components,
      health: () => ({ http: wired.listener.address }),
    };
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
      plan: defaultPlan(context.config.org),
      ownerEmail: context.config.org.owner_email ?? ownerEmail ?? `owner@${slug}.invalid`,
      ownerId: newId('user'),
      key,
      nowMs: nowMs(context.clock),
      second: secondOrg(context),
    });
    if (created) log.info({ org: id, slug }, 'org created');
  }
}

/** Why there may be no second org: the servers would not keep it apart. Undefined: they would, or that is taken into account. */
function secondOrg({ config, fabric, broker }: Context): FleetwireError | undefined {
  if (config.nats.single_tenant)
    return new FleetwireError(
      'failed_precondition',
      'SINGLE_TENANT',
      'this fabric runs on a broker without accounts, where nothing would keep two orgs apart',
      { help: 'Run nats-server with the accounts that `fleetwire bootstrap` prints.' },
    );
  return config.org.allow_unsafe_tenancy ? undefined : tenancyFault(fabric, broker.serverVersion);
}

function storedKey(key: string) {
  return { id: newId('key'), hash: hashSecret(key), prefix: keyPrefix(key) };
}

interface Wired {
  readonly parts: OrgParts;
  readonly listener: HttpListener;
  /** In the order of their start. */
  readonly components: readonly Component[];
}

async function wireOrg(context: Context): Promise<Wired> {
  const { store, broker, clock, log, tokens } = context;
  const set = context.config.org;
  const bucket = await broker.bucket(ORGS_BUCKET);
  const relay = new Relay({ store, broker, bucket, clock, log, intervalMs: set.relay_interval_ms });
  const billing = createBilling(set);
  const settle = settling(store, clock, () => relay.kick());
  const limits = upkeepLimits(set);
  const upkeep = new BillingUpkeep({ billing, store, settle, clock, log, limits });
  const mail = mailing({ config: set, store, clock, log });
  const committed = () => {
    for (const part of [relay, upkeep, mail, deletions]) part.kick();
  };
  const deleting = {
    store,
    clock,
    log,
    cancelSubscription: (id: string) => upkeep.cancelNow(id),
    committed: () => relay.kick(),
    waits: new Map(),
  };
  const deletions = new Rounds({
    name: 'deletions',
    intervalMs: set.upkeep_interval_ms,
    log,
    work: async () => {
      while ((await advanceDeletions(deleting)) > 0);
    },
  });
  const sweeps = new Rounds({
    name: 'sweep',
    intervalMs: SWEEP_MS,
    log,
    work: async () => void (await sweep(store, clock, set.audit_retention_days)),
  });
  const parts: OrgParts = {
    store,
    keys: apiKeyRows(store),
    joinTokens: joinTokenRows(store),
    tokens,
    denials: new Denials(store, log),
    clock,
    config: set,
    secondOrg: () => secondOrg(context),
    sold: billing.kind !== 'none',
    defaultPlan: defaultPlan(set),
    publishedKeys: async () => JSON.stringify(publishedKeys(context.trust, nowMs(clock))),
    publicUrl: () => listener.publicUrl,
    committed,
  };
  const webhook = async (raw: Uint8Array, signature: string) => {
    await handleWebhook({ billing, store, clock, kick: () => upkeep.kick() }, Buffer.from(raw), signature);
  };
  const listener = new HttpListener({
    config: set,
    ports: httpPorts(context, parts, webhook),
    log,
    hop: (name, parent) => context.tracer.hop(name, parent),
    clock,
    graceMs: context.config.lifecycle.grace_ms,
  });
  const heard = [ORG_USAGE, ORG_DENIED, ORG_ACTED].map(
    (spec) => new HeardEvents({ store, broker, log }, spec),
  );
  return { parts, listener, components: [relay, upkeep, mail, deletions, sweeps, ...heard, listener] };
}

function httpPorts(context: Context, parts: OrgParts, webhook: OrgHttpPorts['webhook']): OrgHttpPorts {
  return {
    look: (secret) => lookInvite(parts, { secret }),
    accept: (secret, email, from) => acceptInvite(parts, { secret, email }, from),
    webhook,
    keys: () => parts.publishedKeys(),
    endpoints: () => ({
      org: context.address(),
      registry: context.config.org.registry_address,
      router: context.config.org.router_address,
      delivery: context.config.org.delivery_address,
    }),
    howToUse: HOW_TO_USE,
  };
}
