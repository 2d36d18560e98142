/** Goal: the registry's rules at their edges: nonces, suggestions, liveness, who may call. Method: laws and edges. */

import assert from 'node:assert/strict';
import { createNodeKey } from '@fleetwire/identity';
import { type FleetwireError, foldName, isName, systemRandom } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { requireNode, requireReader } from '../src/domain/callers.ts';
import { checkNonce, makeNonce } from '../src/domain/challenge.ts';
import { checkProtocol, checkPublicKey } from '../src/domain/errors.ts';
import { LastSeen, statusOf } from '../src/domain/liveness.ts';
import { freeSuggestion, suggestions } from '../src/domain/suggest.ts';

const reasonOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as FleetwireError).reason;
  }
};
const name = fc.stringMatching(/^[a-zA-Z0-9-]{1,50}$/);

describe('nonces', () => {
  const secret = systemRandom.bytes(32);
  const nonce = makeNonce(secret, 'n_one', 5000, systemRandom);

  it('are good for their node until they expire', () => {
    assert.equal(
      reasonOf(() => checkNonce(secret, 'n_one', nonce, 4999)),
      'none',
    );
    assert.equal(
      reasonOf(() => checkNonce(secret, 'n_one', nonce, 5000)),
      'CHALLENGE_INVALID',
    );
    assert.equal(
      reasonOf(() => checkNonce(secret, 'n_two', nonce, 0)),
      'CHALLENGE_INVALID',
    );
    assert.equal(
      reasonOf(() => checkNonce(systemRandom.bytes(32), 'n_one', nonce, 0)),
      'CHALLENGE_INVALID',
    );
  });

  it('cannot be changed in any bit, shortened or lengthened', () => {
    for (let bit = 0; bit < nonce.length * 8; bit++) {
      const changed = Uint8Array.from(nonce);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(
        reasonOf(() => checkNonce(secret, 'n_one', changed, 0)),
        'CHALLENGE_INVALID',
        `bit ${bit}`,
      );
    }
    for (const other of [
      nonce.slice(1),
      nonce.slice(0, -1),
      new Uint8Array(0),
      Buffer.concat([nonce, nonce]),
    ])
      assert.equal(
        reasonOf(() => checkNonce(secret, 'n_one', other, 0)),
        'CHALLENGE_INVALID',
      );
  });

  it('are different each time', () => {
    assert.notDeepEqual(makeNonce(secret, 'n_one', 5000, systemRandom), nonce);
  });
});

describe('suggestions', () => {
  it('read as the name and where it lives', () => {
    assert.deepEqual(suggestions('Alice', 'daemon-2').slice(0, 2), ['Alice-daemon-2', 'Alice-daemon-2-2']);
    assert.match(suggestions('Alice', 'daemon-1')[0]!, /Alice-daemon/);
    assert.notEqual(suggestions('Alice', 'daemon-1')[0], suggestions('Alice', 'daemon-2')[0]);
  });

  it('are valid names, all different, and the free one is free', () => {
    fc.assert(
      fc.property(name, name, fc.nat(90), (wanted, node, skip) => {
        const all = suggestions(wanted, node);
        assert.ok(
          all.every(isName),
          all.find((one) => !isName(one)),
        );
        assert.equal(new Set(all).size, all.length);
        const taken = new Set([wanted, ...all.slice(0, skip)].map(foldName));
        const free = freeSuggestion(wanted, node, taken, foldName);
        assert.ok(free !== undefined && isName(free) && !taken.has(foldName(free)));
      }),
    );
  });

  it('keep something of both of two long names', () => {
    const [first] = suggestions('a'.repeat(50), 'b'.repeat(50));
    assert.match(first!, /^a{25}-b{24}$/);
    assert.equal(suggestions('al', 'b'.repeat(50))[0], `al-${'b'.repeat(47)}`);
  });
});

describe('liveness', () => {
  it('ends after exactly so much silence', () => {
    assert.equal(statusOf(1000, 25_999, 25_000), 'online');
    assert.equal(statusOf(1000, 26_000, 25_000), 'offline');
  });

  it('keeps the latest moment, and what is not written until it is', () => {
    const seen = new LastSeen();
    for (const [node, atMs] of [
      ['a', 5],
      ['b', 7],
      ['a', 3],
      ['a', 9],
    ] as const)
      seen.note(node, atMs);
    assert.deepEqual([seen.latest('a', 8), seen.latest('a', 10), seen.latest('c', 1)], [9, 10, 1]);
    const batch = seen.take(1);
    assert.deepEqual(batch, [{ node: 'a', atMs: 9 }]);
    seen.giveBack(batch);
    assert.equal(seen.unwritten, 2);
    seen.prune(100);
    assert.deepEqual(seen.take(10), [
      { node: 'b', atMs: 7 },
      { node: 'a', atMs: 9 },
    ]);
    seen.prune(9);
    assert.deepEqual([seen.latest('a', 0), seen.latest('b', 0)], [9, 0]);
  });
});

describe('callers', () => {
  const caller = (kind: 'user' | 'node' | 'service', org: string, ...scopes: string[]) =>
    ({ kind, subject: 'x', org, scopes, key: '', issuedAtMs: 0 }) as const;

  it('that register are nodes', () => {
    assert.deepEqual(requireNode(caller('node', 'o_1', 'node')), { node: 'x', org: 'o_1' });
    assert.equal(
      reasonOf(() => requireNode(caller('user', 'o_1', 'admin'))),
      'NOT_A_NODE',
    );
    assert.equal(
      reasonOf(() => requireNode(caller('service', '', 'service'))),
      'NOT_A_NODE',
    );
  });

  it('read their own org, and services the one they name', () => {
    assert.equal(requireReader(caller('user', 'o_1', 'read')), 'o_1');
    assert.equal(requireReader(caller('node', 'o_1', 'node'), 'o_1'), 'o_1');
    assert.equal(requireReader(caller('service', '', 'service'), 'o_2'), 'o_2');
    assert.equal(
      reasonOf(() => requireReader(caller('user', 'o_1', 'node-join'))),
      'SCOPE_MISSING',
    );
    assert.equal(
      reasonOf(() => requireReader(caller('user', 'o_1', 'read'), 'o_2')),
      'ORG_NOT_YOURS',
    );
    assert.equal(
      reasonOf(() => requireReader(caller('service', '', 'service'))),
      'ORG_MISSING',
    );
  });
});

describe('a greeting', () => {
  it('is in our protocol and with a real key', () => {
    assert.equal(
      reasonOf(() => checkProtocol('1')),
      'none',
    );
    assert.equal(
      reasonOf(() => checkProtocol('3')),
      'PROTOCOL_UNSUPPORTED',
    );
    assert.equal(
      reasonOf(() => checkPublicKey(createNodeKey().publicKey)),
      'none',
    );
    assert.equal(
      reasonOf(() => checkPublicKey(`U${'A'.repeat(55)}`)),
      'INVALID_PUBLIC_KEY',
    );
  });
});
