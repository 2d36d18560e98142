// Goal: the server listens where it was told, keeps its bounds, and ends gracefully within its grace time.
// Method: real sockets, requests in flight while it stops, connections on which nothing happens.

import { strict as assert } from 'node:assert';
import { connect, type Socket } from 'node:net';
import type { HttpRoute } from '@fleetwire/http';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { echo, exchange, serve, type TestServer } from './serve.ts';

function waiting() {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const route: HttpRoute = {
    method: 'GET',
    path: '/slow',
    body: 'none',
    handle: async () => {
      entered.resolve();
      await release.promise;
      return { status: 200, type: 'text', body: 'done' };
    },
  };
  return { route, entered: entered.promise, release: release.resolve };
}

interface Line extends Disposable {
  readonly socket: Socket;
  readonly closed: () => boolean;
  readonly got: () => string;
}

async function dial(it: TestServer): Promise<Line> {
  const [host, port] = it.server.address.split(':');
  const socket = connect(Number(port), host);
  let [closed, got] = [false, ''];
  socket.on('data', (chunk) => {
    got += chunk;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closed = true;
  });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return { socket, closed: () => closed, got: () => got, [Symbol.dispose]: () => socket.destroy() };
}

const REQUEST = 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n';

describe('listening', () => {
  it('reports the port it got, also of a name and of IPv6', async () => {
    for (const listen of ['127.0.0.1:0', 'localhost:0', '[::1]:0']) {
      await using it = await serve([], { listen });
      assert.match(it.server.address, /:[1-9]\d+$/);
      assert.deepEqual(await (await fetch(`${it.url}/healthz`)).json(), { status: 'serving' });
    }
  });

  it('refuses an address that is taken or none', async () => {
    await using it = await serve([]);
    for (const listen of [it.server.address, 'nonsense', ':80', 'localhost:99999'])
      await assert.rejects(serve([], { listen }), { kind: 'failed_precondition', reason: 'LISTEN_FAILED' });
    assert.equal((await fetch(`${it.url}/healthz`)).status, 200, 'the first one is unharmed');
  });

  it('says on /healthz when it does not serve', async () => {
    await using it = await serve([], { serving: () => false });
    assert.equal((await fetch(`${it.url}/healthz`)).status, 503);
  });

  it('takes no more connections than it may', async () => {
    await using it = await serve([echo('GET', '/slow', 'none')], { connectionsMax: 2 });
    using first = await dial(it);
    using second = await dial(it);
    for (const line of [first, second]) line.socket.write(REQUEST);
    await eventually(() => first.got() !== '' && second.got() !== '');
    assert.equal(await exchange(it.url, REQUEST), '');
    first.socket.destroy();
    await eventually(
      async () =>
        (await exchange(it.url, REQUEST.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))) !== '',
    );
  });
});

describe('stopping', () => {
  it('lets a request in flight finish, closes its connection, and takes no new ones', async () => {
    const slow = waiting();
    await using it = await serve([slow.route]);
    using line = await dial(it);
    line.socket.write(REQUEST);
    await slow.entered;
    const stopped = it.server.stop(60_000);
    await eventually(() => exchange(it.url, REQUEST).then((answer) => answer === ''));
    slow.release();
    await stopped;
    await eventually(line.closed);
    assert.match(line.got(), /^HTTP\/1.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*done$/);
  });

  it('does not wait for connections on which nothing happens', async () => {
    await using it = await serve([echo('GET', '/slow', 'none')]);
    using idle = await dial(it);
    using kept = await dial(it);
    kept.socket.write(REQUEST);
    await eventually(() => kept.got() !== '');
    await it.server.stop(60_000);
    await eventually(() => idle.closed() && kept.closed());
  });

  it('cuts off what takes longer than the grace time', async () => {
    const slow = waiting();
    await using it = await serve([slow.route]);
    using line = await dial(it);
    line.socket.write(REQUEST);
    await slow.entered;
    await it.server.stop(50);
    await eventually(line.closed);
    assert.equal(line.got(), '');
  });

  it('may be asked for twice, and closed before and after that', async () => {
    const slow = waiting();
    await using it = await serve([slow.route]);
    using line = await dial(it);
    line.socket.write(REQUEST);
    await slow.entered;
    const stopped = [it.server.stop(60_000), it.server.stop(60_000)];
    await it.server.close();
    await Promise.all(stopped);
    await it.server.close();
  });

  it('refuses what comes later on a connection that is still busy', async () => {
    const slow = waiting();
    await using it = await serve([slow.route]);
    using line = await dial(it);
    line.socket.write(REQUEST);
    await slow.entered;
    const stopped = it.server.stop(60_000);
    line.socket.write(REQUEST);
    await eventually(() => it.refused.length === 1);
    assert.equal(it.refused[0]!['reason'], 'SHUTTING_DOWN');
    slow.release();
    await stopped;
    await eventually(line.closed);
    assert.equal(line.got().split('done').length, 2, 'one answer');
  });
});
