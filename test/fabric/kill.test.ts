// Goal: kill -9 of any one process under load loses nothing, doubles nothing, and swaps nothing.
// Method: the whole fabric as separate processes; 500 messages a second from an agent on one node to an agent on
// another; one process is killed and started again; what the receiving agent counted is held against what was accepted.

import { strict as assert } from 'node:assert';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { pause } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Part, type SeparateFabric, startSeparateFabric } from './separate-processes.ts';
import { startWorkload } from './workload.ts';

const RATE = 500;
const BEFORE_MS = 2000;
const DOWN_MS = 1500;
const AFTER_MS = 2500;
const RECONCILE_MS = 60_000;

describe('kill -9 under load', () => {
  let fabric: SeparateFabric;
  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['near', 'far'] });
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') fabric.keep();
  });
  after(() => fabric[Symbol.asyncDispose]());

  const victims: readonly [string, (f: SeparateFabric) => Part][] = [
    ['org', (f) => f.parts.org],
    ['registry', (f) => f.parts.registry],
    ['router', (f) => f.parts.router],
    ['delivery', (f) => f.parts.delivery],
    ['postgres', (f) => f.parts.postgres],
    ['nats', (f) => f.parts.nats],
    ['sending-node', (f) => f.nodes['near']!],
    ['receiving-node', (f) => f.nodes['far']!],
  ];

  for (const [name, pick] of victims) {
    it(`${name}: everything accepted arrives once and in order, and history says so`, async () => {
      const victim = pick(fabric);
      await using load = await startWorkload({
        from: fabric.nodes['near']!,
        to: fabric.nodes['far']!,
        rate: RATE,
        sender: `from-${name}`,
        receiver: `to-${name}`,
      });
      await pause(BEFORE_MS);
      await victim.kill();
      await pause(DOWN_MS);
      await victim.start();
      await pause(AFTER_MS);
      await load.finishSending();
      assert.ok(
        load.accepted.size > (RATE * BEFORE_MS) / 1000 / 2,
        `only ${load.accepted.size} were accepted`,
      );
      await load.reconcile(RECONCILE_MS);
      await eventually(async () => (await unconfirmed(fabric, [...load.accepted.values()])).length === 0, {
        timeoutMs: RECONCILE_MS,
        everyMs: 500,
      }).catch(async () =>
        assert.deepEqual((await unconfirmed(fabric, [...load.accepted.values()])).slice(0, 5), []),
      );
    });
  }
});

/** What history does not show as confirmed. */
async function unconfirmed(fabric: SeparateFabric, ids: readonly string[]): Promise<string[]> {
  const token = await fabric.token();
  const delivery = createRpcClient(DeliveryServiceDefinition, {
    address: fabric.addresses.delivery,
    token: () => token,
  });
  try {
    const confirmed = new Set<string>();
    const wanted = new Set(ids);
    let pageToken = '';
    do {
      const page = await delivery.listMessages({ pageSize: 500, pageToken });
      for (const message of page.messages)
        if (message.settlements.some((s) => s.stage === Stage.CONFIRMED)) confirmed.add(message.id);
      pageToken = page.messages.some((m) => wanted.has(m.id)) ? page.nextPageToken : '';
    } while (pageToken !== '');
    return ids.filter((id) => !confirmed.has(id));
  } finally {
    delivery.close();
  }
}
