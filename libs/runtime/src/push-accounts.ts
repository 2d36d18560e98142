/** Giving the servers the claims of accounts, through the system account. */

import type { Broker } from '@fleetwire/broker';
import {
  CLAIMS_LIST,
  CLAIMS_UPDATE,
  claimsLookup,
  loadSecrets,
  loadTrust,
  renewedOrgAccountJwt,
} from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';

const REQUEST_MS = 5_000;

/** Tells the servers of each org's account, and of a fabric account whose exports have grown since they started. */
export async function pushAccounts(broker: Broker, keysDir: string): Promise<void> {
  const [trust, secrets] = [await loadTrust(keysDir), await loadSecrets(keysDir)];
  const held = await heldAccounts(broker);
  const claimsOf = (account: string) => (held.has(account) ? heldClaims(broker, account) : undefined);
  if ((await claimsOf(trust.fabric.account)) !== trust.fabric.jwt)
    await push(broker, trust.fabric.jwt, 'FABRIC');
  for (const org of trust.orgs) {
    const jwt = await renewedOrgAccountJwt(secrets, org.id, await claimsOf(org.account));
    if (jwt !== undefined) await push(broker, jwt, org.slug);
  }
}

async function heldAccounts(broker: Broker): Promise<ReadonlySet<string>> {
  const reply = await broker.request(CLAIMS_LIST, new Uint8Array(), REQUEST_MS).catch((cause: unknown) => {
    if (asFleetwireError(cause).reason === 'NO_RESPONDERS') throw withoutAccounts(cause);
    throw cause;
  });
  return new Set((JSON.parse(new TextDecoder().decode(reply)) as { data?: string[] }).data);
}

async function heldClaims(broker: Broker, account: string): Promise<string> {
  return new TextDecoder().decode(await broker.request(claimsLookup(account), new Uint8Array(), REQUEST_MS));
}

async function push(broker: Broker, jwt: string, name: string): Promise<void> {
  const reply = await broker.request(CLAIMS_UPDATE, new TextEncoder().encode(jwt), REQUEST_MS);
  const answer = JSON.parse(new TextDecoder().decode(reply)) as {
    data?: { code?: number };
    error?: { description?: string };
  };
  if (answer.data?.code === 200) return;
  const why = answer.error?.description ?? 'no reason given';
  throw new FleetwireError(
    'permission_denied',
    'ACCOUNT_REFUSED',
    `NATS refused the account ${name}: ${why}`,
    {
      help: 'Check that these servers run with the operator of this keys folder and the full resolver.',
    },
  );
}

/** A plain server takes any credentials and ignores them; it shows by nobody answering for accounts. */
function withoutAccounts(cause: unknown): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'NATS_WITHOUT_ACCOUNTS',
    'the NATS server keeps no accounts, so nothing there keeps orgs apart',
    {
      help:
        'Run it with the configuration that `fleetwire bootstrap` prints, or accept it for a single org with ' +
        'FLEETWIRE_NATS_SINGLE_TENANT=true.',
      cause,
    },
  );
}
