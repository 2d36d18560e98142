// Goal: one message's trace shows every hop with one trace id, across processes.
// Method: CLI, node A, router, delivery and node B as processes of their own; send by the CLI, trace by the CLI.

import { strict as assert } from 'node:assert';
import { connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { fleetwireIn } from './fleetwire-in.ts';
import { type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

describe('trace across processes', () => {
  let fabric: SeparateFabric;
  let fleetwire: Awaited<ReturnType<typeof fleetwireIn>>;

  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['near', 'far'] });
    fleetwire = await fleetwireIn(fabric);
  });
  after(() => fabric[Symbol.asyncDispose]());

  it('shows accept, route, hold, deliver and confirm under one trace id', async () => {
    const [near, far] = [fabric.nodes['near']!, fabric.nodes['far']!];
    await using alice = await connect({ address: near.address, token: near.adminToken(), name: 'alice' });
    await using bob = await connect({ address: far.address, token: far.adminToken(), name: 'bob' });
    const taken = (async () => {
      for await (const message of bob.messages()) {
        message.ack();
        return message;
      }
      return undefined;
    })();
    const sent = await fleetwire('send', 'bob', 'hello', '--from', 'alice', '--wait', '20');
    assert.equal(sent.stage, 'confirmed');
    assert.equal((await taken)?.id, sent.id);
    const trace = await eventually(async () => {
      const found = await fleetwire('trace', sent.id);
      return found.hops.length >= 5 ? found : undefined;
    });
    const stages = trace.hops.map((hop: { stage: string }) => hop.stage);
    assert.deepEqual(stages, ['accepted', 'routed', 'held', 'delivered', 'confirmed']);
    const services = trace.hops.map((hop: { service: string }) => hop.service);
    assert.deepEqual(services, ['node', 'router', 'node', 'node', 'node']);
    assert.equal(trace.trace_id, sent.trace_id);
    assert.match(trace.trace_id, /^[0-9a-f]{32}$/);
    const instances = trace.hops.map((hop: { instance: string }) => hop.instance);
    assert.notEqual(instances[0], instances[2], 'accepted by one node, held by another');
    assert.ok(
      trace.hops.every((hop: { since_previous_ms: number }) => hop.since_previous_ms >= 0),
      'time runs forward',
    );
    await alice.close();
  });
});
