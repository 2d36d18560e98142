// Goal: a token is called invalid only by who can know: not while the node that its agent may live on is away.
// Method: a machine whose nodes the test starts and stops by name, each with the tokens that it knows.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { beforeEach, describe, it } from 'mocha';
import { byTokenHere } from '../src/mcp/introduction.ts';

describe('the introduction of an agent by its token', () => {
  let running: string[];
  let known: Record<string, string>;
  beforeEach(() => {
    running = ['hub', 'laptop'];
    known = { laptop: 'good' };
  });

  const machine = {
    config: { ambient: {} },
    localNodes: () => Promise.resolve(running.map((name) => ({ name, address: name }))),
    awayNodes: () => Promise.resolve(['hub', 'laptop'].filter((name) => !running.includes(name))),
  } as unknown as Parameters<typeof byTokenHere>[0];
  const introduce = (at: () => Promise<string>, token: string) => async () => {
    const address = await at();
    if (known[address] === token) return { address, token, id: 'a_1', name: 'ann' };
    throw new FleetwireError('unauthenticated', 'TOKEN_INVALID', `not of ${address}`);
  };
  const of = (node?: string) => byTokenHere(machine, node, introduce)('good');

  it('waits for the node that knew it, and for any while none did', async () => {
    const again = of();
    assert.equal((await again()).address, 'laptop');
    running = ['hub'];
    await assert.rejects(again(), { kind: 'unavailable', reason: 'NODE_DOWN', retryAfterMs: 2_000 });
    await assert.rejects(of()(), { reason: 'NODE_DOWN' });
    running = ['hub', 'laptop'];
    assert.equal((await again()).address, 'laptop');
  });

  it('is refused by the node that knew it, whoever is away, and by all when none is', async () => {
    const again = of();
    await again();
    known = {};
    running = ['laptop'];
    await assert.rejects(again(), { reason: 'TOKEN_INVALID' });
    running = ['hub', 'laptop'];
    await assert.rejects(of()(), { reason: 'TOKEN_INVALID' });
  });
});
