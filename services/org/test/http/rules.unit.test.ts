// Goal: the bound on looks at invites is per network, refills, and takes bounded room; links and lists are read right.
// Method: a clock in the hand.

import { strict as assert } from 'node:assert';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { httpKeys, linkBase, trustedProxies } from '../../src/http/config.ts';
import { networkOf, peerLimit } from '../../src/http/peer-limit.ts';

function limited(options: { burst: number; perMinute: number; peersMax?: number }) {
  let ms = 0;
  const clock: Clock = { nowUs: () => ms * 1000, monotonicMs: () => ms };
  const limit = peerLimit({ ...options, clock });
  return {
    pass: (add: number) => {
      ms += add;
    },
    /** 0 when let through, else the milliseconds to wait. */
    ask: (peer: string): number => {
      try {
        limit(peer);
        return 0;
      } catch (error) {
        assert.ok(error instanceof FleetwireError && error.reason === 'TOO_MANY_REQUESTS');
        return error.retryAfterMs!;
      }
    },
  };
}

describe('the limit on looks at invites', () => {
  it('lets a burst through, then what is refilled, each peer for itself', () => {
    const { ask, pass } = limited({ burst: 2, perMinute: 60 });
    assert.deepEqual([ask('a'), ask('a'), ask('a')], [0, 0, 1000]);
    assert.equal(ask('b'), 0);
    pass(400);
    assert.equal(ask('a'), 600);
    pass(600);
    assert.deepEqual([ask('a'), ask('a')], [0, 1000]);
    pass(3_600_000);
    assert.deepEqual([ask('a'), ask('a'), ask('a')], [0, 0, 1000], 'never more than a burst');
  });

  it('forgets whom it has not seen for longest', () => {
    const { ask } = limited({ burst: 1, perMinute: 60, peersMax: 2 });
    assert.deepEqual([ask('a'), ask('b'), ask('a')], [0, 0, 1000]);
    assert.equal(ask('c'), 0);
    assert.equal(ask('a'), 1000, 'a was seen after b');
    assert.equal(ask('b'), 0);
  });

  it('takes the network of one customer for one peer', () => {
    assert.equal(networkOf('203.0.113.9'), '203.0.113.9');
    assert.equal(networkOf('::ffff:203.0.113.9'), '203.0.113.9');
    assert.equal(networkOf('2001:DB8:0:12::1'), networkOf('2001:db8::12:ffff:1:2:3'));
    assert.equal(networkOf('2001:db8:0:12:1:2:3:4'), '2001:db8:0:12');
    assert.notEqual(networkOf('2001:db8:0:13::1'), networkOf('2001:db8:0:12::1'));
    assert.equal(networkOf('::1'), '0:0:0:0');
    assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0');
    assert.equal(networkOf(''), '');
  });
});

describe('settings of the listener', () => {
  it('give links what they begin with', () => {
    assert.equal(linkBase(undefined, '127.0.0.1:80'), 'http://127.0.0.1:80');
    assert.equal(linkBase('https://hub.test/fw//', 'x:1'), 'https://hub.test/fw');
  });

  it('refuse a public URL that is none', () => {
    for (const url of [
      'hub.test',
      'ftp://hub.test',
      'javascript:alert(1)',
      'https://',
      'https://a b',
      'https://a?b',
      'https://u@h',
    ])
      assert.equal(httpKeys.public_url.safeParse(url).success, false, url);
    for (const url of ['https://hub.test', 'http://[::1]:8080', 'https://hub.test/a/b'])
      assert.equal(httpKeys.public_url.safeParse(url).success, true, url);
  });

  it('read lists of proxies', () => {
    assert.deepEqual(trustedProxies(''), []);
    assert.deepEqual(trustedProxies(' 10.0.0.0/8 ,, ::1'), ['10.0.0.0/8', '::1']);
  });
});
