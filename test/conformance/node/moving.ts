/** Cases of a node: agents that leave it and agents that come to it, with their mail. */

import { strict as assert } from 'node:assert';
import { Envelope } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { status } from '@grpc/grpc-js';
import { after, before, describe, it } from 'mocha';
import { Refused } from '../wire/rpc.ts';
import { entryFor } from './carrying.ts';
import { NodeUnderTest } from './node-under-test.ts';
import type { Known, StandHub } from './stand-hub.ts';

const EPOCH = 50;
const textIn = (envelope: Uint8Array) => Buffer.from(Envelope.decode(envelope).body).toString();

export const moving = (hub: () => StandHub) =>
  describe('agents that move', () => {
    let node: NodeUnderTest;
    let known: Known;
    before(async () => {
      node = await new NodeUnderTest(hub(), 'mover').active();
      known = node.known;
    });
    after(() => node?.[Symbol.asyncDispose]());
    const taken = () => hub().taken(known);

    it('leave with what waits for them and what still comes, in order, until the mark', async () => {
      const agent = await node.host('leaver');
      for (const text of ['one', 'two']) await hub().put(known, agent, [entryFor(agent, text)]);
      await taken();
      let refused = 0;
      known.onHandOver = () => {
        if (refused++ === 0) throw new Refused(status.UNAVAILABLE, { reason: 'NOT_NOW' });
      };
      known.agents.delete(agent);
      // The same answers say that the roster differs.
      const rosters = known.rosters.length;
      known.news = { moving: [{ agent, epoch: EPOCH }] };
      await eventually(() => known.handOvers.length > 0);
      await hub().put(known, agent, [entryFor(agent, 'three')]);
      await hub().put(known, agent, [], { agent, epoch: EPOCH, end: true } as never);
      await eventually(() => known.handOvers.some(({ done }) => done));
      known.news = {};
      await taken();
      assert.ok(known.handOvers.every((call) => call.agent === agent && call.epoch === EPOCH));
      assert.deepEqual(known.handOvers.map(({ done }) => done).indexOf(true), known.handOvers.length - 1);
      // One without recipients only says what had its end here.
      const mail = known.handOvers
        .flatMap(({ entries }) => entries)
        .filter(({ recipients }) => recipients.length > 0);
      assert.deepEqual([...new Set(mail.map(({ envelope }) => textIn(envelope)))], ['one', 'two', 'three']);
      assert.ok(refused > 1);
      await eventually(() => known.beats.at(-1)!.rosterDigest === known.digest);
      const listed = known.rosters.slice(rosters).flat();
      assert.ok(listed.every(({ id }) => id !== agent));
    });

    it('leave by the mark alone when nothing told of it before, and are back with all that they had taken along', async () => {
      const agent = await node.host('traveller');
      const kept = entryFor(agent, 'kept');
      await hub().put(known, agent, [kept]);
      await taken();
      known.handOvers.length = 0;
      const here = known.agents.get(agent)!;
      known.agents.delete(agent);
      const mark = (epoch: number, end: boolean) =>
        hub().put(known, agent, [], { agent, epoch, end, name: 'traveller', adapter: 'mailbox' });
      await mark(EPOCH, true);
      await eventually(() => known.handOvers.some(({ done }) => done));
      known.agents.set(agent, here);
      await mark(EPOCH + 1, false);
      await hub().put(known, agent, [{ ...kept, movedEpoch: EPOCH + 1 }]);
      for (const epoch of [EPOCH, EPOCH + 1]) await mark(epoch, true);
      await taken();
      known.news = { moving: [{ agent, epoch: EPOCH }] };
      const beats = known.beats.length;
      await eventually(() => known.beats.length > beats + 1);
      known.news = {};
      assert.deepEqual(await node.read('traveller'), ['kept']);
    });

    it('come with their mail, which goes before what is sent to them here', async () => {
      const agent = hub().agent(known, 'comer');
      agent.moving = true;
      assert.equal(await node.host('comer'), agent.id);
      const waited = ['first', 'second'].map((text) => entryFor(agent.id, text, { movedEpoch: EPOCH }));
      await hub().put(known, agent.id, [entryFor(agent.id, 'direct')]);
      await hub().put(known, agent.id, waited);
      await hub().put(known, agent.id, [waited[0]!]);
      await taken();
      const early = await node.read('comer');
      assert.ok(!early.includes('direct'));
      await hub().put(known, agent.id, [], { agent: agent.id, epoch: EPOCH, end: true } as never);
      const all = [...early];
      await eventually(async () => all.push(...(await node.read('comer'))) >= 3);
      assert.deepEqual(all, ['first', 'second', 'direct']);
    });
  });
