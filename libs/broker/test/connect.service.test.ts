/**
 * Goal: whoever answers at a server's address gets no signature over a text of their choice: a node's key signs more than
 * connections, such as its successor. Method: a listener that asks for one.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { connectBroker } from '@fleetwire/broker';
import { nkeys } from '@nats-io/nats-core';
import { describe, it } from 'mocha';

/** The fields of the first CONNECT that a client sends to a server that asks for a signature over `nonce`. */
async function answerTo(nonce: string): Promise<{ readonly sig?: string; readonly jwt?: string }> {
  const told = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    const info = { server_id: 'S', version: '2.11.0', proto: 1, max_payload: 1024, headers: true, nonce };
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      told.resolve(data.toString());
      socket.end("-ERR 'Authorization Violation'\r\n");
    });
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const credentials = () => ({ jwt: 'jwt', seed: nkeys.createUser().getSeed() });
  const urls = [`nats://127.0.0.1:${port}`];
  const patience = { waitMs: 0, connectTimeoutMs: 20_000 };
  const refused = assert.rejects(connectBroker({ urls, name: 'test', credentials, ...patience }));
  const line = await told.promise;
  await refused;
  server.close();
  return JSON.parse(/^CONNECT (\{.*\})\r/.exec(line)![1]!);
}

describe('a connection', () => {
  it("signs what a server makes up, and nothing that could be somebody else's text", async () => {
    assert.ok((await answerTo('yAPLDjr4K4U3ZgY')).sig);
    for (const nonce of ['fleetwire rotate 2\nn_1\n00\nUA', 'a nonce', 'x'.repeat(1000)])
      assert.equal((await answerTo(nonce)).sig, undefined);
  });
});
