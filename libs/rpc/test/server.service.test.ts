// Goal: a server listens where it was told, ends gracefully within bounds, and describes itself.
// Method: ports, unix sockets and TLS for real; calls in flight while it stops; the reflection service asked.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { createChannel, createClient } from 'nice-grpc';
import { ServerReflectionService } from 'nice-grpc-server-reflection';
import reflection from 'nice-grpc-server-reflection/lib/proto/grpc/reflection/v1/reflection_pb.js';
import { clientOf, serve } from './serve.ts';

const echo = { send: async () => ({ id: 'x' }) };

describe('listening', () => {
  it('reports the port it got', async () => {
    await using server = await serve(echo);
    assert.match(server.address, /^127\.0\.0\.1:[1-9]\d+$/);
    await using other = await serve(echo, { listen: 'localhost:0' });
    using client = clientOf(other.address);
    assert.equal((await client.send({})).id, 'x');
  });

  it('refuses an address that is taken', async () => {
    await using server = await serve(echo);
    await assert.rejects(serve(echo, { listen: server.address }), {
      kind: 'failed_precondition',
      reason: 'LISTEN_FAILED',
    });
  });

  it('serves on a unix socket that only its user can open, and removes it', async () => {
    await using folder = tempFolder('rpc');
    const path = join(folder.path, 'node.sock');
    const it = await serve(echo, { listen: `unix:${path}` });
    assert.equal(it.address, `unix:${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    using client = clientOf(it.address);
    assert.equal((await client.send({})).id, 'x');
    await assert.rejects(serve(echo, { listen: `unix:${path}` }), { reason: 'LISTEN_FAILED' });
    assert.equal((await client.send({})).id, 'x', 'the first one is unharmed');
    await it.server.stopAccepting(1000);
    assert.equal(existsSync(path), false);
  });

  it('takes over a socket that a killed process left', async () => {
    await using folder = tempFolder('rpc');
    const path = join(folder.path, 'node.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
    assert.throws(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' }));
    assert.ok(existsSync(path));
    await using it = await serve(echo, { listen: `unix:${path}` });
    using client = clientOf(it.address);
    assert.equal((await client.send({})).id, 'x');
  });

  it('leaves a file that is no socket alone', async () => {
    await using folder = tempFolder('rpc');
    const path = join(folder.path, 'precious');
    writeFileSync(path, 'x');
    await assert.rejects(serve(echo, { listen: `unix:${path}` }), { reason: 'LISTEN_FAILED' });
    assert.equal(readFileSync(path, 'utf8'), 'x');
  });

  it('speaks TLS, to those who trust its authority', async () => {
    await using folder = tempFolder('rpc');
    const [key, cert] = [join(folder.path, 'key.pem'), join(folder.path, 'cert.pem')];
    const args = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
    const san = ['-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert];
    execFileSync('openssl', [...args, ...san], { stdio: 'ignore' });
    const pem = readFileSync(cert);
    const tls = { cert: pem, key: readFileSync(key) };
    await using server = await serve(echo, { listen: 'localhost:0', tls });
    using trusting = clientOf(server.address, { tls: { ca: pem } });
    assert.equal((await trusting.send({})).id, 'x');
    using stranger = clientOf(server.address, { tls: {} });
    await assert.rejects(stranger.send({}), { reason: 'PEER_UNREACHABLE' });
    using plain = clientOf(server.address);
    await assert.rejects(plain.send({}), { reason: 'PEER_UNREACHABLE' });
  });
});

describe('stopping', () => {
  it('lets a call in flight finish and takes no new ones', async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await using it = await serve({
      send: async () => {
        entered.resolve();
        await release.promise;
        return { id: 'done' };
      },
    });
    using client = clientOf(it.address);
    const call = client.send({});
    await entered.promise;
    const stopped = it.server.stopAccepting(10_000);
    using late = clientOf(it.address);
    await eventually(() =>
      late.send({}, { deadlineMs: 1000 }).then(
        () => false,
        (error) => error.reason === 'PEER_UNREACHABLE',
      ),
    );
    release.resolve();
    assert.equal((await call).id, 'done');
    await stopped;
  });

  it('cuts off what takes longer than the grace time', async () => {
    const entered = Promise.withResolvers<void>();
    let aborted = false;
    await using it = await serve({
      send: (_request, context) => {
        entered.resolve();
        context.signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => undefined);
      },
    });
    using client = clientOf(it.address);
    const call = client.send({});
    await entered.promise;
    const failed = assert.rejects(call, { kind: 'unavailable' });
    await it.server.stopAccepting(50);
    await failed;
    await eventually(() => aborted);
  });

  it('does not wait for connections on which nothing happens', async () => {
    await using it = await serve(echo);
    using client = clientOf(it.address);
    await client.send({});
    await it.server.stopAccepting(60_000);
  });

  it('may be asked for twice, and closed after that', async () => {
    await using it = await serve(echo);
    await Promise.all([it.server.stopAccepting(100), it.server.stopAccepting(100)]);
    await it.server.close();
    const again = createServer();
    const port = Number(it.address.split(':')[1]);
    await new Promise<void>((resolve) => again.listen(port, '127.0.0.1', resolve));
    again.close();
  });
});

describe('reflection', () => {
  it('lists the services and hands out their files', async () => {
    await using server = await serve(echo);
    const channel = createChannel(server.address);
    const client = createClient(ServerReflectionService, channel);
    const { ServerReflectionRequest } = reflection;
    const list = new ServerReflectionRequest().setListServices('*');
    const file = new ServerReflectionRequest().setFileContainingSymbol('fleetwire.v1.NodeService');
    const answers = [];
    const requests = (async function* () {
      yield list;
      yield file;
    })();
    for await (const answer of client.serverReflectionInfo(requests)) answers.push(answer);
    const names = answers[0]!
      .getListServicesResponse()!
      .getServiceList()
      .map((service) => service.getName());
    assert.deepEqual(names, ['fleetwire.v1.NodeService']);
    assert.ok(answers[1]!.getFileDescriptorResponse()!.getFileDescriptorProtoList().length === 1);
    channel.close();
  });
});
