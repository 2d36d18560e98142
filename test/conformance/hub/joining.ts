/** Cases of a hub: joining. */

import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { newHubKey, newNodeKey } from '../wire/keys.ts';
import { reasonOf, refusal } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';

export const joining = (hub: () => Hub) =>
  describe('join', () => {
    const join = (joinToken: string, nodeName: string, publicKey: string) =>
      hub().registry.calls.join({ joinToken, nodeName, publicKey });

    it('brings an id, the org and the key of the hub, and again the same for the same key and name', async () => {
      const token = await hub().joinToken();
      const node = await hub().stranger().join(token);
      assert.match(node.id, /^n_[0-9a-hjkmnp-tv-z]{16}$/);
      assert.match(node.org, /^o_[0-9a-hjkmnp-tv-z]{16}$/);
      assert.match(node.hubKey, /^A[A-Z2-7]{55}$/);
      const { id, org, hubKey } = node;
      assert.deepEqual(await join(token, node.name.toUpperCase(), node.key.publicKey), {
        node: id,
        org,
        hubKey,
      });
    });

    it('takes a token for one key only', async () => {
      const token = await hub().joinToken();
      await hub().stranger().join(token);
      const { reason, domain } = await refusal(hub().stranger().join(token));
      assert.deepEqual([reason, domain], ['JOIN_TOKEN_USED', 'fleetwire']);
      assert.equal(await reasonOf(hub().stranger().join('fwj_no-such-token')), 'JOIN_TOKEN_INVALID');
    });

    it('answers a taken name with one that is free, for the same token and key', async () => {
      const { name } = await hub().joined();
      const token = await hub().joinToken();
      const { publicKey } = newNodeKey();
      const { reason, details } = await refusal(join(token, name.toUpperCase(), publicKey));
      assert.equal(reason, 'NODE_NAME_TAKEN');
      const { node } = await join(token, details['suggestion']!, publicKey);
      assert.match(node, /^n_/);
    });

    it('does not join one key under two names', async () => {
      const token = await hub().joinToken();
      const node = await hub().stranger().join(token);
      assert.equal(await reasonOf(join(token, `${node.name}-x`, node.key.publicKey)), 'NODE_ALREADY_JOINED');
    });

    it('refuses names and keys that are none, and spends no token on them', async () => {
      const token = await hub().joinToken();
      const { publicKey } = newNodeKey();
      for (const name of ['', 'a b', 'a.b', 'a*', 'é', 'x'.repeat(51), '\u0000', '../a', 'a\nb'])
        assert.equal(await reasonOf(join(token, name, publicKey)), 'INVALID_NAME', JSON.stringify(name));
      const damaged = `${publicKey.slice(0, -1)}${publicKey.endsWith('A') ? 'B' : 'A'}`;
      for (const key of ['', 'U', damaged, newHubKey().publicKey, publicKey.toLowerCase()])
        assert.equal(await reasonOf(join(token, 'fine', key)), 'INVALID_PUBLIC_KEY', key);
      await hub().stranger().join(token);
    });
  });
