/**
 * Goal: a node of an org that no keys folder names gets credentials that work, in an account of that org alone. Method:
 * mint as the registry does, against a server in operator mode that has never heard of these orgs; then use them.
 */

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OrgAccess } from '@fleetwire/access';
import { connectBroker } from '@fleetwire/broker';
import { eventSubject, filters, ingressSubject, nodeConsumer, receiptSubject } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import {
  createNodeKey,
  ensureKeys,
  keyFiles,
  loadOrgKeys,
  nodeInboxPrefix,
  serviceInboxPrefix,
  signingOfOrg,
} from '@fleetwire/identity';
import { newId, systemClock } from '@fleetwire/kernel';
import { bootstrapFabric, OrgAccounts } from '@fleetwire/runtime';
import {
  eventually,
  fabricUser,
  operatorMode,
  SMALL_STREAMS,
  startTestNats,
  type TestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { minting } from '../src/handlers/credentials.ts';
import { forgetReopened } from '../src/handlers/revoke-nodes.ts';

describe('credentials of nodes', function () {
  this.timeout(60_000);
  const cleanup = new AsyncDisposableStack();
  let keysDir: string;
  let nats: TestNats;
  const warnings: string[] = [];
  before(async () => {
    keysDir = join(cleanup.use(tempFolder('credentials')).path, 'keys');
    await ensureKeys(keysDir, { services: ['org', 'registry'] });
    nats = cleanup.use(await startTestNats({ config: operatorMode(keysDir) }));
    await bootstrapFabric({ keysDir, natsUrls: [nats.url], sizing: SMALL_STREAMS, partitions: 1 });
  });
  after(() => cleanup.disposeAsync());

  /** One replica of the registry, as far as credentials go. */
  const replica = (natsUrl = nats.url) =>
    minting({
      keysDir,
      accounts: new OrgAccounts({ keysDir, natsUrls: [natsUrl] }),
      lifetimeMs: 60_000,
      clock: systemClock,
      log: { warn: (_fields: unknown, message?: string) => void warnings.push(message ?? '') },
    });
  const rowOf = (org: string, publicKey = createNodeKey().publicKey) => ({
    id: newId('node'),
    org,
    publicKey,
    partition: 0,
    shard: 0,
  });
  const connect = async (options: Omit<Parameters<typeof connectBroker>[0], 'urls' | 'name'>) => {
    const broker = await connectBroker({ urls: [nats.url], name: 'test', ...options });
    cleanup.defer(() => broker.close());
    return broker;
  };
  const asService = (name: string) =>
    connect({ credsFile: keyFiles.natsCreds(keysDir, name), inboxPrefix: serviceInboxPrefix(name) });
  const asAnybody = async () => connect({ credsFile: await fabricUser(keysDir) });
  /** Connected by what the registry gave it. */
  const asNode = async (org: string, mint = replica()) => {
    const key = createNodeKey();
    const row = rowOf(org, key.publicKey);
    const { jwt } = await mint(row);
    const seed = new TextEncoder().encode(key.seed);
    const inboxPrefix = nodeInboxPrefix(row.id);
    const broker = await connectBroker({
      urls: [nats.url],
      name: row.id,
      credentials: () => ({ jwt, seed }),
      inboxPrefix,
    });
    cleanup.defer(() => broker.close());
    return { id: row.id, org, broker };
  };

  it('work for an org made at run time, at each of several replicas that mint at once', async () => {
    const org = newId('org');
    const nodes = await Promise.all([replica(), replica(), replica()].map((mint) => asNode(org, mint)));
    assert.equal((await loadOrgKeys(keysDir)).own.has(org), false);
    for (const { id, broker } of nodes) {
      const subject = ingressSubject.build({ partition: 0, org, node: id });
      const stored = await broker.store(subject, new Uint8Array(1), { msgId: id });
      assert.equal(stored.duplicate, false);
    }
  });

  it('reach nothing of another org', async () => {
    const [mine, theirs] = [await asNode(newId('org')), await asNode(newId('org'))];
    const ingress = ingressSubject.build({ partition: 0, org: theirs.org, node: theirs.id });
    const receipt = receiptSubject.build({ org: theirs.org, toNode: theirs.id, from: mine.id });
    for (const subject of [ingress, receipt])
      await assert.rejects(mine.broker.store(subject, new Uint8Array(1), { msgId: subject }));
    const service = await asService('registry');
    const { stream, durable_name } = nodeConsumer(0, theirs.org, theirs.id);
    await service.consumers.create(nodeConsumer(0, theirs.org, theirs.id));
    const pull = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable_name}`;
    await assert.rejects(mine.broker.request(pull, new TextEncoder().encode('{"batch":1}'), 1000));
  });

  it('hear what happens in their org, and not in another', async () => {
    const nodes = [await asNode(newId('org')), await asNode(newId('org'))];
    const heard = nodes.map(({ broker, org }) => {
      const subjects = new Set<string>();
      broker.subscribe(filters.eventsOf(org, 'org'), ({ subject }) => void subjects.add(subject));
      return subjects;
    });
    const service = await asAnybody();
    const told = (org: string, from = 'org') => eventSubject.build({ org, service: from, name: 'revoked' });
    let round = 0;
    const tell = (subject: string) =>
      service.store(subject, new Uint8Array(1), { msgId: `${subject} ${round++}` });
    await eventually(async () => {
      for (const { org } of nodes) await Promise.all([told(org, 'registry'), told(org)].map(tell));
      return heard.every((subjects) => subjects.size > 0);
    });
    assert.deepEqual(
      heard.map((subjects) => [...subjects]),
      nodes.map(({ org }) => [told(org)]),
    );
  });

  it('are not given while the servers cannot be told of the account, but go on for one that they were told of', async () => {
    const mint = replica('nats://127.0.0.1:1');
    await assert.rejects(mint(rowOf(newId('org'))), {
      kind: 'unavailable',
      reason: 'ACCOUNT_NOT_READY',
      retryAfterMs: 2000,
    });
    const known = [...(await loadOrgKeys(keysDir)).own.keys()][0]!;
    assert.notEqual((await mint(rowOf(known))).jwt, '', 'bootstrap has told them of this one');
    assert.deepEqual(warnings, ['the servers were not asked whether they hold the account']);
    const sys = keyFiles.natsCreds(keysDir, 'sys');
    renameSync(sys, `${sys}.away`);
    assert.notEqual((await mint(rowOf(known))).jwt, '');
    renameSync(`${sys}.away`, sys);
    assert.equal(warnings.length, 1, 'nobody was asked');
  });

  it('work for an org of the file too whose account the servers have lost', async () => {
    const bare = cleanup.use(await startTestNats({ config: operatorMode(keysDir) }));
    const org = [...(await loadOrgKeys(keysDir)).own.keys()][0]!;
    const key = createNodeKey();
    const row = rowOf(org, key.publicKey);
    const { jwt } = await replica(bare.url)(row);
    const seed = new TextEncoder().encode(key.seed);
    const credentials = () => ({ jwt, seed });
    const broker = await connectBroker({ urls: [bare.url], name: row.id, waitMs: 0, credentials });
    await broker.close();
  });

  it('given in the very second of a revocation work, and are not given while its end is far', async () => {
    const org = newId('org');
    const accounts = new OrgAccounts({ keysDir, natsUrls: [nats.url] });
    const keys = await loadOrgKeys(keysDir);
    const account = { id: org, ...signingOfOrg(keys, org)! };
    const before = await asNode(org);
    const dropped = new Promise<void>((resolve) => before.broker.onDisconnect(() => resolve()));
    await accounts.revokeAll(keys.issuer!, account, Date.now() + 1000);
    await dropped;
    await asNode(org);
    // Another replica that has not looked since then looks again once the org was closed and is open.
    const other = new OrgAccounts({ keysDir, natsUrls: [nats.url] });
    let change: (access: OrgAccess) => void = () => assert.fail('nobody follows');
    const onChange = (listener: typeof change) => {
      change = listener;
      return () => undefined;
    };
    forgetReopened({ onChange }, other);
    const untilS = await other.ensure(keys.issuer!, account);
    assert.notEqual(untilS, 0);
    await accounts.revokeAll(keys.issuer!, account, Date.now() + 600_000);
    assert.equal(await other.ensure(keys.issuer!, account), untilS);
    for (const status of ['deleting', 'active'])
      change({ status, state: OrgState.fromPartial({ org, status }) } as OrgAccess);
    assert.ok((await other.ensure(keys.issuer!, account)) > untilS);
    const outcome = replica()(rowOf(org));
    await assert.rejects(outcome, { reason: 'ACCOUNT_NOT_READY', retryAfterMs: 60_000 });
  });

  it('are given for the orgs of a file of before, and for others once bootstrap has renewed it', async () => {
    const file = keyFiles.orgSigning(keysDir);
    const { issuer: _, ...own } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify(own));
    const mint = replica();
    await mint(rowOf(Object.keys(own)[0]!));
    const org = newId('org');
    await assert.rejects(mint(rowOf(org)), { kind: 'failed_precondition', reason: 'ORG_KEYS_MISSING' });
    await ensureKeys(keysDir, { services: ['org', 'registry'] });
    await asNode(org, mint);
  });

  it('are empty on a server without accounts', async () => {
    const mint = minting({
      keysDir: undefined,
      accounts: {
        mounted: true,
        ensure: () => Promise.reject(new Error('nothing to do')),
        revokedUntil: () => 0,
      },
      lifetimeMs: 60_000,
      clock: systemClock,
      log: { warn: () => undefined },
    });
    assert.deepEqual(await mint(rowOf(newId('org'))), { jwt: '', expiresAtMs: 0 });
  });
});
