// Goal: an error arrives at the client as the handler threw it, and the unexpected one tells nothing but its trace.
// Method: real servers and clients on free ports; every kind once, and what the transport itself says.

import { strict as assert } from 'node:assert';
import { createServer } from 'node:net';
import { ERROR_TABLE } from '@fleetwire/contract';
import { ERROR_KINDS, FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { clientOf, serve } from './serve.ts';

describe('errors', () => {
  it('come back with kind, reason, message, help, details and retry time', async () => {
    let thrown: FleetwireError | undefined;
    await using server = await serve({
      send: async () => {
        throw thrown;
      },
    });
    using client = clientOf(server.address);
    for (const kind of ERROR_KINDS) {
      const extras = {
        help: `Do – something about ${kind}.`,
        details: { a: 'b', ü: 'ß' },
        retryAfterMs: 1234.5,
      };
      thrown = new FleetwireError(kind, 'SOME_REASON', `it is ${kind} – ünï`, extras);
      await assert.rejects(client.send({}), (error: FleetwireError) => {
        const { reason, message, help, details, retryAfterMs } = error;
        assert.deepEqual([error.kind, reason, message], [kind, 'SOME_REASON', thrown!.message]);
        assert.deepEqual({ help, details, retryAfterMs }, extras);
        return true;
      });
    }
    assert.equal(server.logged.length, 2, 'internal and data_loss are logged, nothing else');
  });

  it('agree with the table that codes mean one kind each', () => {
    const codes = ERROR_KINDS.map((kind) => ERROR_TABLE[kind].grpc);
    assert.equal(new Set(codes).size, codes.length);
  });

  it('keep the text of an unexpected one in the log', async () => {
    await using server = await serve({
      send: async () => {
        throw new TypeError('the password is hunter22');
      },
    });
    using client = clientOf(server.address);
    await assert.rejects(client.send({}), (error: FleetwireError) => {
      assert.deepEqual([error.kind, error.reason], ['internal', 'INTERNAL']);
      assert.doesNotMatch(JSON.stringify([error.message, error.help, error.details]), /hunter22/);
      return true;
    });
    assert.equal(server.logged.length, 1);
    assert.match(String(server.logged[0]!['cause']), /hunter22/);
  });

  it('shorten what would not fit into the trailers', async () => {
    await using server = await serve({
      send: async () => {
        throw new FleetwireError('not_found', 'LONG', 'x'.repeat(100_000), {
          details: { y: 'y'.repeat(100_000) },
        });
      },
    });
    using client = clientOf(server.address);
    await assert.rejects(client.send({}), (error: FleetwireError) => {
      assert.equal(error.reason, 'LONG');
      assert.ok(error.message.length <= 1000);
      return true;
    });
  });

  it('come out of streams too', async () => {
    await using server = await serve({
      async *attach() {
        yield { goodbye: { reason: 'first' } };
        throw new FleetwireError('aborted', 'TAKEN_OVER', 'another session');
      },
    });
    using client = clientOf(server.address);
    const seen: string[] = [];
    await assert.rejects(
      async () => {
        for await (const answer of client.attach((async function* () {})()))
          seen.push(answer.goodbye!.reason);
      },
      { kind: 'aborted', reason: 'TAKEN_OVER' },
    );
    assert.deepEqual(seen, ['first']);
  });

  it('say that nobody answers at an address', async () => {
    const server = await serve({});
    await server.server.close();
    using client = clientOf(server.address);
    await assert.rejects(client.send({}), (error: FleetwireError) => {
      assert.deepEqual([error.kind, error.reason], ['unavailable', 'PEER_UNREACHABLE']);
      assert.ok(error.help?.includes(server.address));
      return true;
    });
    await assert.rejects(
      async () => {
        for await (const _ of client.attach((async function* () {})())) assert.fail();
      },
      { reason: 'PEER_UNREACHABLE' },
    );
  });

  it('say so as well when the address swallows everything', async () => {
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    using client = clientOf(`127.0.0.1:${(mute.address() as { port: number }).port}`);
    await assert.rejects(client.send({}, { deadlineMs: 200 }), {
      kind: 'unavailable',
      reason: 'PEER_UNREACHABLE',
    });
    mute.close();
  });

  it('refuse a message that is too large, in both directions', async () => {
    const large = new Uint8Array(200_000);
    await using server = await serve(
      { send: async () => ({ id: 'x' }), readInbox: async () => ({ deliveries: [{ body: large }] }) },
      { maxMessageBytes: 100_000 },
    );
    using client = clientOf(server.address);
    await assert.rejects(client.send({ message: { body: large } }), { kind: 'resource_exhausted' });
    await assert.rejects(client.readInbox({}), { kind: 'resource_exhausted' });
    assert.equal((await client.send({})).id, 'x', 'the connection is still good');
  });

  it('end by a restart: a client finds the server again soon, by itself', async () => {
    const first = await serve({ send: async () => ({ id: 'first' }) });
    using client = clientOf(first.address);
    assert.equal((await client.send({})).id, 'first');
    await first.server.close();
    await eventually(() =>
      client.send({}).then(
        () => false,
        () => true,
      ),
    );
    await using _second = await serve({ send: async () => ({ id: 'second' }) }, { listen: first.address });
    const found = await eventually(() => client.send({}), { timeoutMs: 6000, everyMs: 50 });
    assert.equal(found.id, 'second');
  });

  it('are tried again as often as asked, within the deadline', async () => {
    const first = await serve({});
    await first.server.close();
    using client = clientOf(first.address, { retries: 50, deadlineMs: 8000 });
    const waiting = client.send({});
    await using _server = await serve({ send: async () => ({ id: 'late' }) }, { listen: first.address });
    assert.equal((await waiting).id, 'late');
    await first.server.close();
  });
});
