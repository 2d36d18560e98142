/** Measures the processor time of taking mail in and handing it over: node test/measure-holds.ts [messages]. Not a test. */

import { Envelope } from '@fleetwire/gen/message';
import { newMessageId } from '@fleetwire/kernel';
import type { Entry } from '../src/domain/queue.ts';
import { confirmed } from '../src/domain/receipt.ts';
import { addAgent, entryFor, testEngine } from './engine-fixture.ts';

const TURN = 256;

async function measure(total: number): Promise<number> {
  const test = await testEngine();
  const { custody, turns } = test.engine;
  const bob = await addAgent(test.engine, 'bob');
  let taken: Entry[] = [];
  bob.taker = { hasRoom: () => true, deliver: (entries) => void taken.push(...entries) };
  const sample = entryFor(bob.id, test.clock, { body: new Uint8Array(200) });
  const envelope = Envelope.decode(sample.envelope);
  const arrival = { ...sample, history: true };
  const ids = Array.from({ length: total }, () => newMessageId());
  const before = process.cpuUsage();
  for (let at = 0; at < total; at += TURN) {
    await turns.run(() => {
      for (const id of ids.slice(at, at + TURN))
        custody.hold(bob, { ...envelope, id }, sample.envelope, arrival);
      custody.end(taken, confirmed());
      taken = [];
    });
  }
  const { user, system } = process.cpuUsage(before);
  await test.close();
  return (user + system) / total;
}

const total = Number(process.argv[2] ?? 200_000);
for (let run = 0; run < 3; run++)
  console.log(`${(await measure(total)).toFixed(2)} us of processor time a message`);
