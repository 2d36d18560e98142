// Goal: no node deletes waiting mail of another org by its acknowledgements, or bootstrap says that on these servers it can.
// Method: nodes of two orgs with credentials of the registry's; one acknowledges what waits for the other, by every word,
// before and after something was delivered to itself. FLEETWIRE_NATS_SERVER names the server's binary.

import { strict as assert } from 'node:assert';
import { inboxSubject } from '@fleetwire/contract';
import { newId } from '@fleetwire/kernel';
import { readFabricRecord } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { startRegistryWorld } from './fixture.ts';

const WORDS = ['+ACK', '+TERM', '+NXT', '+WPI', '-NAK'];

describe('acknowledgements of a node', function () {
  this.timeout(60_000);

  it('delete nothing of another org, unless the fabric record says that on these servers they can', async () => {
    await using world = await startRegistryWorld();
    const registry = await world.start();
    const bob = await world.node(registry, 'bob', world.orgs[0]);
    const mallory = await world.node(registry, 'mallory', world.orgs[1]);
    await bob.client.openInbox({});
    await mallory.client.openInbox({});
    const fabric = await world.broker();
    const put = async ({ id, welcome: { org } }: typeof bob) => {
      const subject = inboxSubject.build({ shard: 0, org, node: id, agent: newId('agent') });
      return (await fabric.store(subject, new Uint8Array(1), { msgId: newId('event') })).sequence;
    };
    const waiting: number[] = [];
    for (let i = 0; i < 2 * WORDS.length; i++) waiting.push(await put(bob));
    const hostile = await world.nodeBroker(mallory);
    const say = (sequence: number, word: string) => {
      const about = `node-${mallory.id}.1.${sequence}.1.${Date.now()}000000.0`;
      hostile.publish(`$JS.ACK.INBOX.${about}`, Buffer.from(word));
    };
    for (const [i, word] of WORDS.entries()) say(waiting[i]!, word);
    const own = await put(mallory);
    for await (const [delivered] of hostile.pull('INBOX', `node-${mallory.id}`, { batch: 1 })) {
      for (const [i, word] of WORDS.entries()) say(waiting[WORDS.length + i]!, word);
      delivered!.ack();
      break;
    }
    // Once its own is gone, all that it said before is dealt with.
    await eventually(async () => (await fabric.messages.get('INBOX', own)) === undefined);
    const left = await Promise.all(waiting.map((sequence) => fabric.messages.get('INBOX', sequence)));
    const lost = left.filter((message) => message === undefined).length;
    const { servers } = await readFabricRecord(fabric);
    assert.equal(servers!.acks_apart, lost === 0, `${lost} lost with ${servers!.version}`);
  });
});
