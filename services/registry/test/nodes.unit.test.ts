/** Goal: the rules of nodes at their edges: who holds an identity, how often, what is kept of what they tell. Method: laws. */

import assert from 'node:assert/strict';
import { LIMITS } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { NodeFacts } from '@fleetwire/gen/message';
import { rosterDigest } from '@fleetwire/identity';
import { FleetwireError, newId, systemClock, systemRandom } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Allowance } from '../src/domain/allowance.ts';
import { makeNonce, useNonce } from '../src/domain/challenge.ts';
import { checkProtocol } from '../src/domain/errors.ts';
import { claimIdentity, holderOfBeat, mayBeThereMs } from '../src/domain/identity-holder.ts';
import { LastSeen } from '../src/domain/liveness.ts';
import { cleanedFacts } from '../src/domain/node-facts.ts';
import { Announcer } from '../src/handlers/announcer.ts';
import { PresenceNews } from '../src/handlers/presence-news.ts';
import { Refusals } from '../src/handlers/refusals.ts';
import type { RoutedNode } from '../src/store/nodes.ts';

describe('an identity', () => {
  const holder = { instance: 'i-1', machine: 'm-1' };

  it('is refused to another machine while its holder is there, and to nobody else', () => {
    const claims = [
      [{ instance: 'i-2', machine: 'm-2' }, true, 'contender'],
      [{ instance: 'i-2', machine: 'm-2' }, false, 'welcome'],
      [{ instance: 'i-2', machine: 'm-1' }, true, 'welcome'],
      [{ instance: 'i-1', machine: 'm-2' }, true, 'welcome'],
      [{ instance: '', machine: '' }, true, 'welcome'],
    ] as const;
    for (const [claimant, online, claim] of claims)
      assert.equal(claimIdentity(holder, claimant, online), claim);
    assert.equal(
      claimIdentity({ instance: '', machine: '' }, { instance: 'i', machine: 'm' }, true),
      'welcome',
    );
  });

  it('may be held by whoever was not heard of since the last break, for a while', () => {
    const after = (heardAtMs: number, leftAtMs: number, unbrokenSinceMs: number) =>
      mayBeThereMs({ heardAtMs, leftAtMs, unbrokenSinceMs }, 1000, 100);
    // Heard of since: a liveness, unless it has said goodbye.
    assert.deepEqual([after(950, 0, 500), after(900, 0, 500), after(950, 960, 500)], [50, 0, 0]);
    // Before: two livenesses of the break, whatever it has said then.
    assert.deepEqual([after(1, 0, 850), after(840, 845, 850), after(1, 0, 800)], [50, 50, 0]);
    assert.equal(after(970, 845, 850), 70);
  });

  it('shows in heartbeats', () => {
    assert.equal(holderOfBeat(holder, 'i-1'), 'same');
    assert.equal(holderOfBeat(holder, ''), 'other', 'no goodbye of an older protocol is taken for its own');
    assert.equal(holderOfBeat({ instance: '' }, ''), 'same');
    assert.equal(holderOfBeat(holder, 'i-2'), 'other');
    assert.equal(holderOfBeat({ instance: '' }, 'i-2'), 'stranger');
  });
});

describe('an allowance', () => {
  it('lets through the burst, then one for each interval, whatever the times', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }), (gaps) => {
        const allowance = new Allowance({ burst: 5, everyMs: 100, max: 10 });
        let [now, let_] = [0, 0];
        for (const gap of gaps) {
          now += gap;
          const refused = allowance.take('n', now);
          if (refused === undefined) let_++;
          else
            assert.equal(
              new Allowance({ burst: 5, everyMs: 100, max: 10 }).take('n', now + refused.waitMs),
              undefined,
            );
        }
        assert.ok(let_ <= 5 + Math.ceil(now / 100));
      }),
    );
  });

  it('says when to come again, and that an episode begins, once', () => {
    const allowance = new Allowance({ burst: 2, everyMs: 100, max: 10 });
    assert.deepEqual([allowance.take('n', 0), allowance.take('n', 0)], [undefined, undefined]);
    assert.deepEqual(allowance.take('n', 10), { waitMs: 90, first: true });
    assert.deepEqual(allowance.take('n', 20), { waitMs: 80, first: false });
    assert.equal(allowance.take('other', 20), undefined);
    assert.equal(allowance.take('n', 100), undefined);
    assert.deepEqual(allowance.take('n', 100), { waitMs: 100, first: false }, 'it goes on');
    for (const expected of [undefined, undefined, { waitMs: 100, first: true }])
      assert.deepEqual(allowance.take('n', 1000), expected);
    assert.equal(allowance.refused, 4);
  });

  it('of many at once lets all through or none', () => {
    const allowance = new Allowance({ burst: 5, everyMs: 100, max: 10 });
    assert.equal(allowance.take('n', 0, 4), undefined);
    assert.deepEqual(allowance.take('n', 0, 2), { waitMs: 100, first: true });
    assert.equal(allowance.take('n', 0), undefined);
    assert.equal(allowance.take('n', 200, 2), undefined);
  });

  it('remembers so many and no more', () => {
    const allowance = new Allowance({ burst: 1, everyMs: 1000, max: 2 });
    for (const who of ['a', 'b', 'c']) allowance.take(who, 0);
    assert.notEqual(allowance.take('c', 0), undefined);
    assert.equal(allowance.take('a', 0), undefined);
  });
});

describe('a used nonce', () => {
  const secret = systemRandom.bytes(32);
  const nonce = (untilMs: number) => makeNonce(secret, 'n_one', untilMs, systemRandom);

  it('is not used again in its life, and noted no longer', () => {
    const [one, two] = [nonce(1000), nonce(2000)];
    const used = useNonce([], one, 0);
    assert.throws(() => useNonce(used, one, 0), { reason: 'CHALLENGE_INVALID' });
    const both = useNonce(used, two, 999);
    for (const each of [one, two]) assert.throws(() => useNonce(both, each, 999));
    assert.deepEqual(useNonce(both, nonce(3000), 1000).length, 2);
  });

  it('that may have been forgotten, since there are so many, is not used again either', () => {
    const all = Array.from({ length: 200 }, (_, i) => nonce(1000 + (i % 7)));
    let used: string[] = [];
    const taken = all.filter((each) => {
      try {
        used = useNonce(used, each, 0);
        return true;
      } catch {
        return false;
      }
    });
    assert.ok(used.length < 100 && taken.length >= used.length);
    for (const each of taken) assert.throws(() => useNonce(used, each, 0), { reason: 'CHALLENGE_INVALID' });
    useNonce(used, nonce(5000), 0);
  });
});

describe('what is refused', () => {
  it('is counted each time, and said once a minute for each reason', async () => {
    let now = 0;
    const said: string[] = [];
    const log = {
      warn: (fields: { reason: string; times: number }) => said.push(`${fields.reason} ${fields.times}`),
    };
    const refusals = new Refusals({ what: 'a HELLO', clock: { monotonicMs: () => now }, log: log as never });
    const refuse = (reason: string) =>
      assert.rejects(refusals.counting({}, Promise.reject(new FleetwireError('not_found', reason, 'no'))), {
        reason,
      });
    for (const reason of ['A', 'A', 'B', 'A']) await refuse(reason);
    now = 60_000;
    await refuse('A');
    assert.equal(await refusals.counting({}, Promise.resolve(1)), 1);
    assert.deepEqual(said, ['A 1', 'B 1', 'A 4']);
    for (let i = 0; i < 100; i++) await refuse(`R${i}`);
    assert.equal(refusals.figures['A'], 4);
    assert.equal(Object.keys(refusals.figures).length, 51);
  });
});

describe('the presence of a node', () => {
  const minute = 60_000;
  const setup = () => {
    let nowMs = 10 * minute;
    let now: RoutedNode = {
      id: 'n_1',
      org: 'o_1',
      name: 'one',
      shard: 0,
      status: 'offline',
      draining: false,
      epoch: 0,
    };
    const told: string[] = [];
    const news = new PresenceNews({
      nodes: { routed: async () => [now] },
      announcer: { tell: ({ name, id }) => void told.push(`${name} ${id!.split('-').at(-1)}`) },
      clock: { ...systemClock, nowUs: () => nowMs * 1000 },
    });
    const becomes = (status: 'online' | 'offline') => {
      now = { ...now, status, epoch: now.epoch + 1 };
      news.tell(now);
    };
    const pass = async (ms: number) => {
      nowMs += ms;
      await news.tellLate();
    };
    return {
      told,
      becomes,
      pass,
      elsewhere: (status: 'online' | 'offline') => (now = { ...now, status, epoch: now.epoch + 1 }),
    };
  };

  it('is told with the right last word once the minute is over, and each word once a minute', async () => {
    const { told, becomes, pass } = setup();
    for (const status of ['online', 'offline', 'online', 'offline', 'online'] as const) becomes(status);
    await pass(1000);
    assert.deepEqual(told, ['node_online 1', 'node_offline 2']);
    await pass(minute);
    await pass(minute);
    assert.deepEqual(told, ['node_online 1', 'node_offline 2', 'node_online 5']);
  });

  it('is told as it is then, also when another replica has seen more of it', async () => {
    const { told, becomes, pass, elsewhere } = setup();
    for (const status of ['online', 'offline', 'online'] as const) becomes(status);
    elsewhere('offline');
    await pass(minute);
    assert.deepEqual(told.slice(2), ['node_offline 4']);
  });
});

describe('what a node tells of itself', () => {
  it('is bounded and clean, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', maxLength: 200 }), { maxLength: 400 }),
        fc.nat(),
        (texts, cpus) => {
          const facts = cleanedFacts(NodeFacts.fromPartial({ capabilities: texts, tools: texts, cpus }));
          assert.ok(facts.capabilities!.length <= LIMITS.capabilities && facts.tools!.length <= LIMITS.tools);
          for (const one of facts.capabilities!) assert.match(one, /^[a-z0-9][a-z0-9._-]{0,63}$/);
          for (const tool of facts.tools!) {
            assert.ok(tool.length <= LIMITS.toolChars && tool.isWellFormed());
            assert.doesNotMatch(tool, /[\p{Cc}\p{Cf}]/u);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('speaks for the newest protocol that both know', () => {
    assert.equal(checkProtocol('9', [9, 2]), 2);
    assert.equal(checkProtocol('1'), 1);
    assert.throws(() => checkProtocol('2', [3]), { reason: 'PROTOCOL_UNSUPPORTED' });
  });
});

describe('a goodbye', () => {
  it('counts until the node is heard of again, and not over a later word', () => {
    const seen = new LastSeen();
    const status = (leftAtMs = 0) => seen.status('n', { lastSeenAtMs: 0, leftAtMs }, 110, 1000);
    seen.note('n', 100);
    seen.leave('n', 100);
    assert.equal(status(), 'offline');
    seen.note('n', 101);
    assert.equal(status(), 'online');
    seen.learn('n', 101, 90);
    assert.equal(status(), 'online');
    assert.equal(status(101), 'offline');
    seen.learn('n', 101, 105);
    assert.equal(status(), 'offline');
  });
});

describe('the digest of a roster', () => {
  it('depends on who is in it, not on the order, and of nobody is 0', () => {
    const ids = Array.from({ length: 20 }, () => newId('agent'));
    assert.equal(rosterDigest([]), 0);
    // The first 6 bytes of the SHA-256 of "abc" (FIPS 180-2, appendix B.1).
    assert.equal(rosterDigest(['abc']), 0xba7816bf8f01);
    assert.equal(rosterDigest(ids), rosterDigest(ids.toReversed()));
    assert.notEqual(rosterDigest(ids), rosterDigest(ids.slice(1)));
    assert.ok(rosterDigest(ids) < 2 ** 48);
  });
});

describe('events', () => {
  const told = (id: string) =>
    ({ org: 'o_1', name: 'node_online', target: 'n_1', actor: 'registry', id }) as const;

  it('are told in order, again after a fault, and are dropped with one line in the log where that does not help', async () => {
    const stored: string[] = [];
    let warnings = 0;
    let faults = 1;
    const publish = async (_subject: string, payload: Uint8Array, { msgId }: { msgId: string }) => {
      if (faults-- > 0) throw new FleetwireError('unavailable', 'NOT_CONNECTED', 'away');
      assert.equal(Event.decode(payload).id, msgId);
      stored.push(msgId);
      return { sequence: 1, duplicate: false } as never;
    };
    const log = { warn: () => void warnings++ };
    const announcer = new Announcer({
      publish: publish as never,
      clock: systemClock,
      log: log as never,
      max: 3,
    });
    announcer.tell(told('a'));
    announcer.tell(told('b'));
    while (stored.length < 2) await new Promise(setImmediate);
    assert.deepEqual(stored, ['a', 'b']);
    faults = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 10; i++) announcer.tell(told(`c${i}`));
    await announcer.stop();
    assert.deepEqual([stored.length, announcer.dropped, warnings], [2, 10, 1]);
  });
});
