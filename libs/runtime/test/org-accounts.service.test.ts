// Goal: an org that is made while the fabric runs gets its account on the servers, whoever asks first and however often;
// what the servers know of revoked nodes stays. Method: a real server in operator mode, the system account as witness.

import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { eventSubject, filters } from '@fleetwire/contract';
import {
  CLAIMS_LIST,
  CLAIMS_UPDATE,
  claimsLookup,
  createNodeKey,
  ensureKeys,
  keyFiles,
  loadOrgKeys,
  mintNodeUser,
  nodeInboxPrefix,
  type OrgIssuer,
  orgAccountJwt,
  revocationsIn,
  serviceInboxPrefix,
  signingOfOrg,
} from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { eventually, operatorMode, SMALL_STREAMS, startTestNats, tempFolder } from '@fleetwire/testkit';
import { type Account, Algorithms, decode, encodeAccount } from '@nats-io/jwt';
import { fromPublic, fromSeed } from '@nats-io/nkeys';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { revokeUsers } from '../src/account-claims.ts';
import { bootstrapFabric } from '../src/bootstrap.ts';
import { OrgAccounts } from '../src/org-accounts.ts';

const SERVICES = ['org', 'registry'];
const notReady = { kind: 'unavailable', reason: 'ACCOUNT_NOT_READY' };

describe('accounts of orgs made at run time', function () {
  this.timeout(60_000);
  let cleanup: AsyncDisposableStack;
  let keysDir: string;
  let issuer: OrgIssuer;

  beforeEach(async () => {
    cleanup = new AsyncDisposableStack();
    keysDir = join(cleanup.use(tempFolder('org-accounts')).path, 'keys');
    await ensureKeys(keysDir, { services: SERVICES });
    issuer = (await loadOrgKeys(keysDir)).issuer!;
  });
  afterEach(() => cleanup.disposeAsync());

  const startNats = async () =>
    cleanup.use(
      await startTestNats({
        config: operatorMode(keysDir),
      }),
    );
  const connect = async (url: string, o: Omit<Parameters<typeof connectBroker>[0], 'urls' | 'name'>) => {
    const broker = await connectBroker({ urls: [url], name: 'test', waitMs: 0, ...o });
    cleanup.defer(() => broker.close());
    return broker;
  };
  const asService = (url: string, name: string) =>
    connect(url, { credsFile: keyFiles.natsCreds(keysDir, name), inboxPrefix: serviceInboxPrefix(name) });
  const replica = (...natsUrls: string[]) => new OrgAccounts({ keysDir, natsUrls });
  const newOrg = () => orgOf(newId('org'));
  const orgOf = (id: string) => ({
    id,
    ...signingOfOrg({ own: new Map(), issuer }, id)!,
  });
  const asNode = async (url: string, org: string) => {
    const key = createNodeKey();
    const signing = signingOfOrg(await loadOrgKeys(keysDir), org)!;
    const user = { signing, org, node: 'n_1', publicKey: key.publicKey, partition: 0, shard: 0 };
    const { jwt } = await mintNodeUser({ ...user, lifetimeMs: 60_000 });
    const seed = new TextEncoder().encode(key.seed);
    return connect(url, { credentials: () => ({ jwt, seed }), inboxPrefix: nodeInboxPrefix('n_1') });
  };

  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const held = async (sys: Broker) =>
    new Set(JSON.parse(text(await sys.request(CLAIMS_LIST, new Uint8Array(), 2000))).data as string[]);
  const claims = async (sys: Broker, account: string) =>
    text(await sys.request(claimsLookup(account), new Uint8Array(), 2000));

  it('are held once they are asked for, by several replicas and for many orgs at once', async () => {
    const nats = await startNats();
    const orgs = Array.from({ length: 20 }, newOrg);
    const replicas = [replica(nats.url), replica(nats.url), replica(nats.url)];
    await assert.rejects(asNode(nats.url, orgs[0]!.id), { reason: 'NATS_REFUSED' });
    await Promise.all(replicas.flatMap((one) => orgs.map((org) => one.ensure(issuer, org))));
    const there = await held(await asService(nats.url, 'sys'));
    for (const { account } of orgs) assert.ok(there.has(account));
    await asNode(nats.url, orgs[0]!.id);
  });

  it('are not asked about again, until they are to be forgotten', async () => {
    const nats = await startNats();
    const accounts = replica(nats.url);
    const org = newOrg();
    await accounts.ensure(issuer, org);
    await nats.kill();
    await accounts.ensure(issuer, org);
    await assert.rejects(accounts.ensure(issuer, newOrg()), notReady);
    accounts.forget();
    await assert.rejects(accounts.ensure(issuer, org), notReady);
  });

  it('keep the revocations that the servers know of, also when there is more to say now', async () => {
    const nats = await startNats();
    const sys = await asService(nats.url, 'sys');
    const [org, old] = [newOrg(), newOrg()];
    const revoked = { [createNodeKey().publicKey]: 1_700_000_000 };
    const jwt = await orgAccountJwt(issuer, org, revoked);
    const now = decode<Account>(await orgAccountJwt(issuer, old, revoked)).nats;
    const before = await signed(old.account, { ...now, imports: now.imports!.slice(0, 2) });
    for (const each of [jwt, before]) await sys.request(CLAIMS_UPDATE, new TextEncoder().encode(each), 2000);
    await laterThan(before);
    await Promise.all([org, old].map((each) => replica(nats.url).ensure(issuer, each)));
    assert.equal(await claims(sys, org.account), jwt, 'there was nothing to say');
    const renewed = await claims(sys, old.account);
    assert.deepEqual(revocationsIn(renewed), revoked);
    assert.equal(decode<Account>(renewed).nats.imports?.length, now.imports?.length);
  });

  it('are not ready while the system account is out of reach, which is worth another try', async () => {
    const accounts = replica('nats://127.0.0.1:1');
    await assert.rejects(accounts.ensure(issuer, newOrg()), { ...notReady, retryAfterMs: 2000 });
    const plain = cleanup.use(await startTestNats());
    await assert.rejects(replica(plain.url).ensure(issuer, newOrg()), notReady);
    const nats = await startNats();
    const nobody = new OrgAccounts({ keysDir: `${keysDir}/nowhere`, natsUrls: [nats.url] });
    await assert.rejects(nobody.ensure(issuer, newOrg()), notReady);
    const later = replica('nats://127.0.0.1:1', nats.url);
    const org = newOrg();
    await later.ensure(issuer, org);
  });

  it('refuse all nodes of an org from a revocation on, those of no other, and keep what was revoked before', async () => {
    const nats = await startNats();
    const accounts = replica(nats.url);
    const { orgs } = await ensureKeys(keysDir, { services: SERVICES });
    const keys = await loadOrgKeys(keysDir);
    const own = { id: orgs[0]!.id, ...signingOfOrg(keys, orgs[0]!.id)! };
    const [org, other] = [newOrg(), newOrg()];
    const sys = await asService(nats.url, 'sys');
    const before = { [createNodeKey().publicKey]: 1_700_000_000 };
    await sys.request(
      CLAIMS_UPDATE,
      new TextEncoder().encode(await orgAccountJwt(issuer, org, before)),
      2000,
    );
    await Promise.all([org, own, other].map((each) => accounts.ensure(issuer, each)));
    const [theirs, ours, neighbour] = await Promise.all(
      [org, own, other].map(({ id }) => asNode(nats.url, id)),
    );
    const dropped = [theirs!, ours!].map(
      (node) => new Promise<void>((done) => node.onDisconnect(() => done())),
    );
    const nowMs = Date.now();
    for (const each of [org, own]) await accounts.revokeAll(issuer, each, nowMs);
    await Promise.all(dropped);
    const untilS = Math.floor(nowMs / 1000);
    assert.deepEqual(revocationsIn(await claims(sys, org.account)), { ...before, '*': untilS });
    assert.ok(neighbour!.connected());
    await accounts.revokeAll(issuer, org, nowMs - 60_000);
    for (const each of [accounts, replica(nats.url)]) assert.equal(await each.ensure(issuer, org), untilS);
    assert.equal(await replica(nats.url).ensure(issuer, other), 0);
    assert.equal(revocationsIn(await claims(sys, org.account))['*'], untilS, 'it never goes back');
  });

  it('take a revocation again that somebody has overwritten, but not for ever', async () => {
    const org = newOrg();
    for (const overwritten of [2, Number.POSITIVE_INFINITY]) {
      let [held, gives] = [await orgAccountJwt(issuer, org), 0];
      const answer = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
      const request = async (subject: string, payload: Uint8Array): Promise<Uint8Array> => {
        if (subject === CLAIMS_LIST) return answer({ data: [org.account] });
        if (subject !== CLAIMS_UPDATE) return new TextEncoder().encode(held);
        if (gives++ >= overwritten) held = text(payload);
        return answer({ data: { code: 200 } });
      };
      const outcome = revokeUsers({ request }, issuer, org, { '*': 1_800_000_000 });
      if (Number.isFinite(overwritten)) await outcome;
      else await assert.rejects(outcome, { kind: 'unavailable', reason: 'REVOCATION_OVERWRITTEN' });
      assert.equal(revocationsIn(held)['*'], Number.isFinite(overwritten) ? 1_800_000_000 : undefined);
    }
  });

  it('that are refused take no others along', async () => {
    const nats = await startNats();
    const accounts = replica(nats.url);
    const [bad, good] = [{ ...newOrg(), account: 'no key at all' }, newOrg()];
    const outcomes = await Promise.allSettled([bad, good].map((org) => accounts.ensure(issuer, org)));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
  });

  it('hear of their org only, also on servers that held a fabric account without events', async () => {
    const trust = JSON.parse(readFileSync(keyFiles.trust(keysDir), 'utf8'));
    const now = decode<Account>(trust.fabric.jwt).nats;
    const exports = now.exports!.filter(({ name }) => name !== 'events of org');
    assert.equal(exports.length, now.exports!.length - 1);
    trust.fabric.jwt = await signed(trust.fabric.account, { ...now, exports });
    writeFileSync(keyFiles.trust(keysDir), JSON.stringify(trust));
    const nats = await startNats();
    await laterThan(trust.fabric.jwt);
    const { orgs } = await ensureKeys(keysDir, { services: SERVICES });
    await bootstrapFabric({ keysDir, natsUrls: [nats.url], sizing: SMALL_STREAMS, partitions: 1 });
    const [made, other] = [newOrg(), newOrg()];
    const accounts = replica(nats.url);
    await Promise.all([made, other].map((each) => accounts.ensure(issuer, each)));
    const ids = [orgs[0]!.id, made.id, other.id];
    const heard: string[][] = [];
    for (const [i, id] of ids.entries()) {
      heard[i] = [];
      const node = await asNode(nats.url, id);
      node.subscribe(filters.eventsOf(id, 'org'), ({ subject }) => void heard[i]!.push(subject));
    }
    const publisher = await asService(nats.url, 'org');
    const subjects = ids.map((org) => eventSubject.build({ org, service: 'org', name: 'tokens_revoked' }));
    let round = 0;
    await eventually(async () => {
      for (const subject of subjects)
        await publisher.store(subject, new Uint8Array(1), { msgId: `${subject} ${round++}` });
      return heard.every((all) => all.length > 0);
    });
    for (const [i, all] of heard.entries()) assert.deepEqual([...new Set(all)], [subjects[i]]);
  });

  /** An account's JWT with just these claims, as a release before would have issued it. */
  const signed = (account: string, nats: Partial<Account>) =>
    encodeAccount('before', fromPublic(account), nats, {
      algorithm: Algorithms.v2,
      signer: fromSeed(new TextEncoder().encode(issuer.operatorSigningSeed)),
    });
  /** Servers tell older from newer by whole seconds. */
  const laterThan = (jwt: string) => eventually(() => Math.floor(Date.now() / 1000) > decode(jwt).iat);
});
