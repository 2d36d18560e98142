// Goal: a node's signature holds for its bytes and key only; its permissions name nothing but itself.
// Method: sign and verify with fresh keys; look at the permission lists of two nodes.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { filters } from '@fleetwire/contract';
import { decode, type User } from '@nats-io/jwt';
import { createAccount, fromSeed } from '@nats-io/nkeys';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  createNodeKey,
  isApiKey,
  isNodePublicKey,
  mintNodeUser,
  newApiKey,
  newJoinToken,
  nodeHelloBytes,
  nodePermissions,
  signWithNodeKey,
  verifyNodeSignature,
} from '../src/index.ts';

describe('node key', () => {
  const key = createNodeKey();
  it('verifies its own signatures and no others', () => {
    const other = createNodeKey();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        const signature = signWithNodeKey(key.seed, bytes);
        const touched = bytes.slice();
        touched[0]! ^= 1;
        return (
          verifyNodeSignature(key.publicKey, bytes, signature) &&
          !verifyNodeSignature(key.publicKey, touched, signature) &&
          !verifyNodeSignature(other.publicKey, bytes, signature)
        );
      }),
      { numRuns: 20 },
    );
  });

  it('signs of a HELLO what the page of the protocol has worked out, and of one of version 1 the nonce', () => {
    const said = {
      node: 'n_0000000000000001',
      nonce: new Uint8Array([1, 2, 3]),
      protocol: '2',
      version: '1.0',
      platform: 'linux-x64',
      protocols: [2, 1],
      challenge: new Uint8Array(32).fill(0xff),
      instance: 'i',
      machine: 'm',
      host: 'b\u00fcro',
      facts: { capabilities: ['gpu', 'eu'], tools: [], cpus: 2, memoryBytes: 1024 },
      rosterDigest: 0,
    };
    const page = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');
    const text = new TextDecoder().decode(nodeHelloBytes(said));
    assert.match(text, /^fleetwire greeting 2\n[0-9a-f]{64}$/);
    assert.ok(page.includes(`\n  ${text.replace('\n', '\n  ')}\n`), text);
    assert.deepEqual(nodeHelloBytes({ ...said, protocol: '1' }), said.nonce);
  });

  it('takes nonsense for what it is', () => {
    assert.ok(isNodePublicKey(key.publicKey));
    for (const text of ['', 'U', key.seed, `${key.publicKey}A`, key.publicKey.replace(/^U/, 'A')]) {
      assert.ok(!isNodePublicKey(text), text);
      assert.ok(!verifyNodeSignature(text, new Uint8Array(1), new Uint8Array(64)));
    }
    assert.ok(!verifyNodeSignature(key.publicKey, new Uint8Array(1), new Uint8Array(3)));
  });

  it('is needed for a user', async () => {
    const signing = { account: 'A', signingSeed: 'S' };
    const mint = mintNodeUser({ ...place('n_a'), signing, publicKey: 'no', lifetimeMs: 1 });
    await assert.rejects(mint, (e) => (e as { reason?: string }).reason === 'NODE_KEY_INVALID');
  });

  it('has a user that is issued at the moment that is told, not by the clock of this machine', async () => {
    const signingSeed = new TextDecoder().decode(createAccount().getSeed());
    const signing = { account: createAccount().getPublicKey(), signingSeed };
    const nowMs = Date.now() - 3_600_000;
    const told = { ...place('n_a'), signing, publicKey: key.publicKey, lifetimeMs: 60_000, nowMs };
    const { jwt, expiresAtMs } = await mintNodeUser(told);
    const { iat, exp, sub } = decode<User>(jwt);
    assert.deepEqual([iat, exp], [Math.floor(nowMs / 1000), expiresAtMs / 1000]);
    assert.equal(sub, key.publicKey);
    const [head, body, signature] = jwt.split('.') as [string, string, string];
    const signed = Buffer.from(`${head}.${body}`);
    const signer = fromSeed(new TextEncoder().encode(signingSeed));
    assert.ok(signer.verify(signed, Buffer.from(signature, 'base64url')));
  });

  it('permissions of two nodes share nothing but to hear the events of their org', () => {
    const a = nodePermissions(place('n_a'));
    const b = nodePermissions(place('n_b'));
    const events = filters.eventsOf('o_1', 'org');
    assert.ok(a.subscribe.includes(events) && !a.publish.includes(events));
    const own = a.subscribe.filter((subject) => subject !== events);
    for (const subject of [...a.publish, ...own]) {
      assert.ok(!b.publish.includes(subject) && !b.subscribe.includes(subject), subject);
      assert.match(subject, /n_a/);
    }
  });
});

describe('secrets', () => {
  it('are long, never the same, and tell what they are', () => {
    const keys = new Set(Array.from({ length: 100 }, newApiKey));
    assert.equal(keys.size, 100);
    for (const secret of keys) assert.ok(isApiKey(secret) && secret.length === 47);
    assert.match(newJoinToken(), /^fwj_[\w-]{43}$/);
    assert.ok(!isApiKey('fwk_short') && !isApiKey(''));
  });
});

const place = (node: string) => ({ org: 'o_1', node, partition: 3, shard: 0 });
