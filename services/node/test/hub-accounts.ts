/** Operator mode for the fake hub: an account for the fabric and one for the test's org, and users with an end. */

import { connectBroker } from '@fleetwire/broker';
import {
  accountIssuer,
  CLAIMS_UPDATE,
  createNodeKey,
  ensureKeys,
  hubKeyOf,
  keyFiles,
  loadOrgKeys,
  loadSecrets,
  mintNodeUser,
  type OrgSigning,
  orgAccountJwt,
  serviceInboxPrefix,
  signingOfOrg,
  signWithNodeKey,
} from '@fleetwire/identity';
import { operatorMode, startTestNats, type TestNats, tempFolder } from '@fleetwire/testkit';

export interface HubAccounts extends AsyncDisposable {
  readonly nats: TestNats;
  readonly signing: OrgSigning;
  /** Of a user with all rights in the fabric's account, without end. */
  readonly fabric: { readonly jwt: string; readonly seed: Uint8Array };
  /** How long the credentials of nodes are good. */
  lifetimeMs: number;
  mint(node: string, publicKey: string): Promise<{ jwt: string; expiresAtMs: number }>;
}

export async function startHubAccounts(org: string, lifetimeMs: number): Promise<HubAccounts> {
  await using building = new AsyncDisposableStack();
  const keysDir = building.use(tempFolder('hub-keys')).path;
  await ensureKeys(keysDir, { services: ['registry'] });
  const secrets = await loadSecrets(keysDir);
  const signing = signingOfOrg(await loadOrgKeys(keysDir), org)!;
  const nats = building.use(await startTestNats({ config: operatorMode(keysDir) }));
  const credsFile = keyFiles.natsCreds(keysDir, 'sys');
  const sys = await connectBroker({
    urls: [nats.url],
    name: 'sys',
    credsFile,
    inboxPrefix: serviceInboxPrefix('sys'),
  });
  const claims = await orgAccountJwt(accountIssuer(secrets), { id: org, ...signing });
  await sys.request(CLAIMS_UPDATE, new TextEncoder().encode(claims), 5000);
  await sys.close();
  const fabric = allRights(accountIssuer(secrets).fabricAccount, secrets.fabric.signingSeed);
  const kept = building.move();
  const accounts: HubAccounts = {
    nats,
    signing,
    fabric,
    lifetimeMs,
    mint: (node, publicKey) => {
      const whose = { signing, org, node, publicKey, partition: 0, shard: 0 };
      return mintNodeUser({ ...whose, lifetimeMs: accounts.lifetimeMs });
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
  return accounts;
}

/** A user JWT as in github.com/nats-io/jwt, version 2. */
function allRights(account: string, signingSeed: string) {
  const { seed, publicKey } = createNodeKey();
  const nats = { type: 'user', version: 2, pub: {}, sub: {}, subs: -1, data: -1, payload: -1 };
  const issuedAt = Math.floor(Date.now() / 1000);
  const issuer = { iss: hubKeyOf({ signingSeed }), nats: { ...nats, issuer_account: account } };
  const claims = { jti: 'fake-hub', iat: issuedAt, name: 'fake-hub', sub: publicKey, ...issuer };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`;
  const signature = Buffer.from(signWithNodeKey(signingSeed, new TextEncoder().encode(text)));
  return { jwt: `${text}.${signature.toString('base64url')}`, seed: new TextEncoder().encode(seed) };
}
