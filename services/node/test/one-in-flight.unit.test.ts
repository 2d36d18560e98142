/**
 * Goal: one pack in flight per subject; on any doubt the same pack under the same id, nothing overtakes it.
 * Method: a scripted broker.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { OneInFlight, type Pack } from '../src/hub/one-in-flight.ts';

describe('one in flight', () => {
  function scripted(faults: (FleetwireError | undefined)[]) {
    const stored: string[] = [];
    const tried: string[] = [];
    const waiting = ['1', '2', '3'];
    let inFlight = 0;
    let connected = true;
    const broker = {
      connected: () => connected,
      store: async (_subject: string, _payload: Uint8Array, o: { msgId: string }) => {
        assert.equal(inFlight++, 0);
        await Promise.resolve();
        inFlight--;
        tried.push(o.msgId);
        const fault = faults.shift();
        if (fault !== undefined) throw fault;
        return { sequence: 1, duplicate: false };
      },
    } as unknown as Broker;
    const line = new OneInFlight<Pack>({
      broker: () => broker,
      next: () => {
        const msgId = waiting.shift();
        return msgId === undefined ? undefined : { subject: 's', payload: new Uint8Array(), msgId };
      },
      stored: (pack) => stored.push(pack.msgId),
      failed: () => {},
    });
    return { line, stored, tried, waiting, connect: (value: boolean) => (connected = value) };
  }
  const doubt = new FleetwireError('unavailable', 'PUBLISH_IN_DOUBT', 'no answer');
  const full = new FleetwireError('resource_exhausted', 'STREAM_FULL', 'full');

  it('repeats the same pack until it is stored, then goes on in order', async () => {
    const test = scripted([undefined, doubt, full, undefined]);
    test.line.kick();
    await eventually(() => test.stored.length === 3);
    assert.deepEqual(test.tried, ['1', '2', '2', '2', '3']);
    await test.line.stop();
  });

  it('takes up what comes while it runs, and keeps a pack through a loss of the connection', async () => {
    const test = scripted([doubt]);
    test.line.kick();
    test.connect(false);
    await eventually(() => test.tried.length === 1);
    test.waiting.push('4');
    test.connect(true);
    test.line.hurry();
    await eventually(() => test.stored.length === 4);
    assert.deepEqual(test.tried, ['1', '1', '2', '3', '4']);
    await test.line.stop();
  });
});
