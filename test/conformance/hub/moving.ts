/** Cases of a hub: an agent that moves, with the mail that waits for it. */

import { strict as assert } from 'node:assert';
import { Envelope, type InboxEntry, type MoveMark } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { acknowledge } from '../wire/nats.ts';
import { reasonOf } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';
import type { PeerNode } from './peer-node.ts';

const idOf = (entry: InboxEntry) => Envelope.decode(entry.envelope).id;

/** Everything up to the mark that ends the move; acknowledged. */
async function untilMark(node: PeerNode): Promise<{ entries: InboxEntry[]; mark: MoveMark }> {
  const entries: InboxEntry[] = [];
  for (;;) {
    const next = await node.next();
    if (next === undefined) throw new Error(`no mark has come, only ${entries.length} entries`);
    entries.push(...next.pack.entries);
    await acknowledge(node.nc, next.message);
    if (next.pack.mark?.end) return { entries, mark: next.pack.mark };
  }
}

export const moving = (hub: () => Hub) =>
  describe('an agent that moves', () => {
    const admin = () => ({ token: hub().admin });

    it('takes along what its old node holds and what waits, in order, and then what is sent to it', async function () {
      if (hub().admin === undefined) this.skip();
      const [from, old, next] = [
        await hub().connected('from'),
        await hub().connected('old'),
        await hub().connected('next'),
      ];
      const sender = await from.register(`s-${from.name}`);
      const agent = await old.register(`m-${old.name}`);
      await Promise.all([old.openInbox(), next.openInbox()]);
      const sent = ['held', 'waiting', 'later'].map((text) => from.envelope(sender, agent.name, text));
      await from.send([sent[0]!]);
      const held = (await old.next())!;
      await acknowledge(old.nc, held.message);
      await from.send([sent[1]!]);

      const moved = await hub().registry.calls.moveAgent({ agent: agent.id, toNode: next.id }, admin());
      assert.deepEqual([moved.agent?.node, moved.agent?.moving], [next.id, true]);
      old.agents.delete(agent.id);
      const told = await eventually(async () =>
        (await old.beat()).moving.find((one) => one.agent === agent.id),
      );
      const { epoch } = told;
      const handOver = (entries: InboxEntry[], done = false, token = old.token) =>
        hub().registry.calls.handOver({ agent: agent.id, epoch, entries, done }, { token });
      assert.equal(await reasonOf(handOver([], false, from.token)), 'MOVE_UNKNOWN');
      await handOver(held.pack.entries);
      await handOver(held.pack.entries);
      const rest = await untilMark(old);
      assert.deepEqual([rest.mark.agent, rest.mark.epoch], [agent.id, epoch]);
      await handOver(rest.entries);
      await handOver([], true);
      await from.send([sent[2]!]);

      const came = await untilMark(next);
      assert.deepEqual([came.mark.agent, came.mark.epoch], [agent.id, epoch]);
      const first = new Set(came.entries.filter(({ movedEpoch }) => movedEpoch !== 0).map(idOf));
      assert.deepEqual([...first], [sent[0]!.id, sent[1]!.id]);
      const direct = came.entries.filter(({ movedEpoch }) => movedEpoch === 0).map(idOf);
      if (direct.length === 0) direct.push(...(await next.next())!.pack.entries.map(idOf));
      assert.deepEqual(direct, [sent[2]!.id]);
    });

    it('is told of with WELCOME too', async function () {
      if (hub().admin === undefined) this.skip();
      const [old, next] = [await hub().connected('old'), await hub().connected('next')];
      const agent = await old.register(`w-${old.name}`);
      await hub().registry.calls.moveAgent({ agent: agent.id, toNode: next.id }, admin());
      old.agents.delete(agent.id);
      await eventually(async () => (await old.hello()).moving.some((one) => one.agent === agent.id), {
        everyMs: 1000,
      });
    });
  });
