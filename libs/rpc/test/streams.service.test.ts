// Goal: long bidirectional streams hold back fast producers, and leave nothing waiting when one side goes.
// Method: producers without end on one side, readers that stop on the other; count what was produced.

import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { clientOf, serve } from './serve.ts';

const chunk = new Uint8Array(16 * 1024);
/** What may be on its way between a producer and a reader that stopped: windows and buffers of both sides. */
const MOST_ON_THE_WAY = 120;

/** Resolves once `count` has not changed for a while. */
async function settled(count: () => number): Promise<number> {
  let before = -1;
  return eventually(
    async () => {
      const now = count();
      const same = now === before && now > 0;
      before = now;
      return same ? now : undefined;
    },
    { everyMs: 100 },
  );
}

describe('streams', () => {
  it('echo in order, both ways at once', async () => {
    await using server = await serve({
      async *attach(requests) {
        for await (const request of requests) yield { goodbye: { reason: request.hello!.name } };
      },
    });
    using client = clientOf(server.address);
    const sent = Array.from({ length: 2000 }, (_, i) => String(i));
    const requests = (async function* () {
      for (const name of sent) yield { hello: { name } };
    })();
    const got: string[] = [];
    for await (const answer of client.attach(requests)) got.push(answer.goodbye!.reason);
    assert.deepEqual(got, sent);
  });

  it('hold the server’s producer back while the client does not read', async () => {
    let produced = 0;
    let ended = false;
    await using server = await serve({
      async *attach(_requests, context) {
        try {
          while (!context.signal.aborted) {
            produced += 1;
            yield { deliver: { deliveries: [{ body: chunk }] } };
          }
        } finally {
          ended = true;
        }
      },
    });
    using client = clientOf(server.address);
    const answers = client.attach((async function* () {})())[Symbol.asyncIterator]();
    await answers.next();
    const before = await settled(() => produced);
    assert.ok(before <= MOST_ON_THE_WAY, `${before} were produced`);
    for (let i = 0; i < 100; i++) await answers.next();
    assert.ok(produced > before, 'reading lets it go on');
    await answers.return?.();
    await eventually(() => ended);
  });

  it('hold the client’s producer back while the server does not read', async () => {
    let produced = 0;
    await using server = await serve({
      async *attach(_requests, context) {
        yield {};
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      },
    });
    using client = clientOf(server.address);
    let returned = false;
    const requests = (async function* () {
      try {
        for (;;) {
          produced += 1;
          yield { send: { messages: [{ body: chunk }] } };
        }
      } finally {
        returned = true;
      }
    })();
    const answers = client.attach(requests)[Symbol.asyncIterator]();
    await answers.next();
    const most = await settled(() => produced);
    assert.ok(most <= MOST_ON_THE_WAY, `${most} were produced`);
    await answers.return?.();
    await eventually(() => returned);
  });

  it('end the server’s side when the client goes, even while it waits for requests', async () => {
    let left = false;
    await using server = await serve({
      async *attach(requests) {
        try {
          for await (const request of requests) yield { goodbye: { reason: request.hello!.name } };
        } finally {
          left = true;
        }
      },
    });
    using client = clientOf(server.address);
    const requests = (async function* () {
      yield { hello: { name: 'a' } };
      await new Promise(() => undefined);
    })();
    for await (const answer of client.attach(requests)) {
      assert.equal(answer.goodbye!.reason, 'a');
      break;
    }
    await eventually(() => left);
  });

  it('end the client’s side when the server ends, though its requests wait for ever', async () => {
    await using server = await serve({
      async *attach() {
        yield { goodbye: { reason: 'bye' } };
      },
    });
    using client = clientOf(server.address);
    let asked = 0;
    const waiting: AsyncIterable<object> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: async () => {
          asked += 1;
          return { done: true, value: undefined };
        },
      }),
    };
    const got: string[] = [];
    for await (const answer of client.attach(waiting)) got.push(answer.goodbye!.reason);
    assert.deepEqual(got, ['bye']);
    assert.ok(asked >= 1, 'the requests were told to stop');
  });

  it('are cancelled by the client’s signal', async () => {
    await using server = await serve({
      async *attach(_requests, context) {
        yield {};
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      },
    });
    using client = clientOf(server.address);
    const cancel = new AbortController();
    await assert.rejects(
      async () => {
        for await (const _ of client.attach((async function* () {})(), { signal: cancel.signal }))
          cancel.abort();
      },
      { kind: 'cancelled' },
    );
  });

  it('are told that the server drains, and may say goodbye', async () => {
    await using it = await serve({
      async *attach(_requests, context) {
        yield {};
        await new Promise((resolve) => context.draining.addEventListener('abort', resolve));
        yield { goodbye: { reason: 'closing' } };
      },
    });
    using client = clientOf(it.address);
    const got: string[] = [];
    let stopped: Promise<void> | undefined;
    for await (const answer of client.attach((async function* () {})())) {
      stopped ??= it.server.stopAccepting(5000);
      if (answer.goodbye) got.push(answer.goodbye.reason);
    }
    await stopped;
    assert.deepEqual(got, ['closing']);
  });

  it('survive many sessions on one connection', async () => {
    await using server = await serve({
      async *attach(requests) {
        for await (const request of requests) yield { goodbye: { reason: request.hello!.name } };
      },
    });
    using client = clientOf(server.address);
    const one = async (name: string) => {
      const release = Promise.withResolvers<void>();
      const requests = (async function* () {
        yield { hello: { name } };
        await release.promise;
      })();
      for await (const answer of client.attach(requests)) {
        assert.equal(answer.goodbye!.reason, name);
        await turn();
        release.resolve();
      }
    };
    await Promise.all(Array.from({ length: 300 }, (_, i) => one(`agent-${i}`)));
    await pause(0);
  });
});
