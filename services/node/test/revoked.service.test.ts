/**
 * Goal: a node refuses tokens that were revoked, by event at once, by heartbeat without events, and over a restart; and
 * believes keys that are newer than its HELLO. Method: a real node, tokens signed as org signs them, the test as hub.
 */

import assert from 'node:assert/strict';
import { EVENT_NAMES, eventSubject, filters } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { createTokenSigner, ensureKeys, loadTrust, rotateTokenKey, trustDigest } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';
import {
  eventually,
  plainConfig,
  type TempFolder,
  type TestNatsOptions,
  tempFolder,
} from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import { FakeHub, TEST_ORG } from './fake-hub.ts';
import { TestNode } from './test-node.ts';

const OFTEN = { heartbeat_ms: '50' };
const SELDOM = { heartbeat_ms: '60000' };

describe('a node and revoked tokens', function () {
  this.timeout(60_000);
  let keys: TempFolder;
  let hub: FakeHub;
  let node: TestNode;
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
    await keys[Symbol.asyncDispose]();
  });

  async function startAll(settings: Record<string, string>, nats: TestNatsOptions = {}): Promise<void> {
    keys = tempFolder('node-trust');
    await ensureKeys(keys.path, { services: ['org', 'registry'] });
    hub = await FakeHub.start(nats);
    await trustKeys();
    node = new TestNode(hub, 'left', settings);
    await (await node.start()).active();
  }

  async function trustKeys(): Promise<void> {
    hub.trust = JSON.stringify((await loadTrust(keys.path)).jwks);
  }

  /** Asks the node by one token, again and again: the reason of the refusal, or none. */
  async function user(sub: string, key: string, nowMs = Date.now) {
    const signer = await createTokenSigner(keys.path, 'org', nowMs);
    const { token } = await signer.sign({ sub, key, org: TEST_ORG, scopes: ['admin'], lifetimeMs: 600_000 });
    return () => ask(token);
  }
  const ask = (token: string) =>
    node
      .client(token)
      .listLocalAgents({})
      .then(
        () => 'none',
        (error: FleetwireError) => error.reason,
      );

  function tellRevoked(kind: string, subject: string): void {
    const details = { kind, subject, issued_until_ms: String(Date.now() + 1000) };
    const event = Event.fromPartial({ id: 'e_1', org: TEST_ORG, service: 'org', details });
    const at = eventSubject.build({ org: TEST_ORG, service: 'org', name: EVENT_NAMES.tokensRevoked });
    hub.broker.publish(at, encode(Event, event));
  }

  /** An event that is told before the server knows of the node's subscription reaches nobody. */
  function tellUntil(kind: string, subject: string, asked: () => Promise<string>) {
    return eventually(async () => {
      tellRevoked(kind, subject);
      return (await asked()) === 'TOKEN_REVOKED';
    });
  }

  it('refuses what an event revokes, before any heartbeat, and nothing else', async () => {
    await startAll(SELDOM);
    const [alice, bob] = [await user('u_alice', 'k_1'), await user('u_bob', 'k_2')];
    assert.deepEqual([await alice(), await bob()], ['none', 'none']);
    await tellUntil('key', 'k_1', alice);
    assert.equal(await bob(), 'none');
    await tellUntil('user', 'u_bob', bob);
  });

  it('refuses what heartbeats tell where the servers keep events from it', async () => {
    const config = (place: { dir: string; port: number }) =>
      `${plainConfig(place)}
       no_auth_user: node
       authorization { users: [{ user: node, password: pw, permissions: {
         publish: ">", subscribe: { allow: ">", deny: "${filters.eventsOf(TEST_ORG, 'org')}" } } }] }`;
    await startAll(OFTEN, { config });
    const [alice, bob] = [await user('u_alice', 'k_1'), await user('u_bob', 'k_2')];
    tellRevoked('user', 'u_bob');
    hub.revocations = [{ kind: 'user', subject: 'u_alice', issuedUntilMs: Date.now() + 1000 }];
    await eventually(async () => (await alice()) === 'TOKEN_REVOKED');
    assert.equal(await bob(), 'none', 'the event did not come');
  });

  it('refuses all tokens of a closed org until it is open again', async () => {
    await startAll(OFTEN);
    const alice = await user('u_alice', 'k_1');
    assert.equal(await alice(), 'none');
    hub.orgStatus = 'deleting';
    await eventually(async () => (await alice()) === 'ORG_CLOSED');
    hub.orgStatus = 'active';
    await eventually(async () => (await alice()) === 'none');
  });

  it('still knows after a restart without its hub', async () => {
    await startAll(SELDOM);
    const [alice, bob] = [await user('u_alice', 'k_1'), await user('u_bob', 'k_2')];
    await tellUntil('key', 'k_1', alice);
    await node.stop();
    await hub.stopRegistry();
    await hub.nats.kill();
    await node.start();
    assert.deepEqual([await alice(), await bob()], ['TOKEN_REVOKED', 'none']);
    await hub.nats.restart();
    await hub.startRegistry();
  });

  it('believes a key that is newer than its HELLO, and asks for it no more often than it should', async () => {
    await startAll(SELDOM);
    await rotateTokenKey(keys.path, 'org', { activateAfterMs: 0 });
    await trustKeys();
    const hellos = hub.hellos;
    const alice = await user('u_alice', 'k_1');
    assert.equal(await alice(), 'none');
    assert.equal(hub.hellos, hellos + 1);
    assert.equal(await ask('made.up.token'), 'TOKEN_INVALID');
    assert.equal(hub.hellos, hellos + 1);
  });

  it('drops a key that leaked when a heartbeat says that the trust is another one', async () => {
    await startAll(OFTEN);
    const alice = await user('u_alice', 'k_1');
    assert.equal(await alice(), 'none');
    await rotateTokenKey(keys.path, 'org', { immediately: true });
    await trustKeys();
    hub.trustDigest = trustDigest(hub.trust);
    await eventually(async () => (await alice()) === 'TOKEN_INVALID');
  });
});
