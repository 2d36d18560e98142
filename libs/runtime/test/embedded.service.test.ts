// Goal: several services live in one process without knowing of each other, as `fleetwire up` runs them.
// Method: definitions run in this process, one of them failing; what they log and answer is compared.

import { strict as assert } from 'node:assert';
import { defineSection, z } from '@fleetwire/config';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { bindService, checkHealth, createRpcClient, type RpcHandlers } from '@fleetwire/rpc';
import { defineService, type RunOptions, runService, type ServiceContext } from '@fleetwire/runtime';
import { describe, it } from 'mocha';

const section = defineSection('small', { word: z.string().default('hello').describe('What it says') });

function small(name: string, hooks: { wire?: (context: ServiceContext) => void; start?: () => void } = {}) {
  return defineService({
    name,
    config: { small: section },
    identity: 'none',
    wire(context) {
      hooks.wire?.(context);
      const status = async () => ({ name: context.config.small.word, node: context.instance });
      const handlers = { nodeStatus: status } as unknown as RpcHandlers<NodeServiceDefinition>;
      for (const method of Object.keys(NodeServiceDefinition.methods))
        (handlers as Record<string, unknown>)[method] ??= status;
      return {
        rpc: [bindService(NodeServiceDefinition, handlers, { auth: 'none' })],
        components: [{ name: 'part', start: () => hooks.start?.(), stop: () => undefined }],
        health: () => ({ word: context.config.small.word }),
      };
    },
  });
}

function quiet(overrides: RunOptions<{ small: typeof section }>['overrides'] = {}) {
  const lines: Record<string, unknown>[] = [];
  const logStream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, options: { env: {}, overrides, logStream } };
}

describe('services in one process', () => {
  it('have their own configuration, address, health and end', async () => {
    const log = quiet();
    const one = await runService(small('one'), { ...log.options, overrides: { small: { word: 'first' } } });
    const two = await runService(small('two'), { ...log.options, overrides: { common: { instance: 'x' } } });
    assert.notEqual(one.address, two.address);
    const asked = await Promise.all(
      [one, two].map(async ({ address }) => {
        const client = createRpcClient(NodeServiceDefinition, { address });
        const { name, node } = await client.nodeStatus({});
        client.close();
        return [name, node];
      }),
    );
    assert.equal(asked[0]?.[0], 'first');
    assert.match(asked[0]?.[1] ?? '', /^one-[0-9a-f]{10}$/);
    assert.deepEqual(asked[1], ['hello', 'two-x']);
    assert.deepEqual(one.health(), { state: 'serving', word: 'first' });
    await one.stop();
    await one.stopped;
    assert.equal(await checkHealth({ address: two.address }, 'two'), true);
    await assert.rejects(checkHealth({ address: one.address }), { reason: 'PEER_UNREACHABLE' });
    await two.stop();
    assert.deepEqual(new Set(log.lines.map((line) => line['service'])), new Set(['one', 'two']));
  });

  it('fail one by one: the start rejects, everything opened is closed, the process goes on', async () => {
    const log = quiet();
    const broken = new FleetwireError('failed_precondition', 'BROKEN', 'it is broken');
    let address = '';
    const failing = small('failing', {
      wire: (context) => queueMicrotask(() => void context),
      start: () => {
        throw broken;
      },
    });
    await assert.rejects(runService(failing, log.options), broken);
    address = String(log.lines.find((line) => line['address'])?.['address'] ?? '');
    assert.equal(address, '', 'it never said that it is ready');
    assert.equal(log.lines.at(-1)?.['message'], 'failed');
  });

  it('end by a fault that they report themselves', async () => {
    const log = quiet();
    let context: ServiceContext | undefined;
    const service = await runService(
      small('faulty', {
        wire: (given) => {
          context = given;
        },
      }),
      log.options,
    );
    context!.fail(new FleetwireError('data_loss', 'TORN', 'a page is torn'));
    await assert.rejects(service.stopped, { reason: 'TORN' });
    await assert.rejects(checkHealth({ address: service.address }), { reason: 'PEER_UNREACHABLE' });
  });

  it('say so when they reach for what they were defined without', async () => {
    const log = quiet();
    const greedy = small('greedy', { wire: (context) => void context.store });
    await assert.rejects(runService(greedy, log.options), { reason: 'NOT_WIRED' });
  });
});
