// Goal: an agent moves from one node to another under load, and what was sent to it has its effect once and in the order of each
// sender: also when the old node is dead, and when a router stands still in the middle of it.
// Method: the whole fabric as separate processes; agents on three nodes send to one agent all the time; it is moved by
// an admin; what its programs took on both nodes, one after the other, is held against what was accepted.

import { strict as assert } from 'node:assert';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { pause } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { type Agent, connect, type Message } from '@fleetwire/sdk';
import { eventually, seededRandom } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type NodePart, type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const RATE = 100;
const SETTLE_MS = 45_000;
const STEPS = 16;

describe('an agent that moves under load', function () {
  this.timeout(120_000);
  let fabric: SeparateFabric;
  const open: Agent[] = [];

  before(async () => {
    fabric = await startSeparateFabric({
      nodes: ['old', 'new', 'third'],
      env: {
        FLEETWIRE_REGISTRY_LIVENESS_MS: '3000',
        FLEETWIRE_REGISTRY_MOVE_LOST_MS: '4000',
        FLEETWIRE_NODE_HEARTBEAT_MS: '500',
        FLEETWIRE_NODE_OBSERVE_MS: '10000',
        // What gathers while a router stands still comes at once.
        FLEETWIRE_NODE_QUEUE_MESSAGES: '50000',
      },
    });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') fabric.keep();
    await Promise.all(open.splice(0).map((agent) => agent.close().catch(() => undefined)));
  });
  after(() => fabric[Symbol.asyncDispose]());

  async function agentOn(node: NodePart, name: string, o: { window?: number } = {}): Promise<Agent> {
    const agent = await connect({ address: node.address, token: node.adminToken(), name, ...o });
    open.push(agent);
    return agent;
  }

  /** Every sender's numbers, as `<sender> <number>`: accepted in this order. */
  async function senders(to: string): Promise<{ accepted: Map<string, string>; stop(): Promise<void> }> {
    const accepted = new Map<string, string>();
    const over = new AbortController();
    const places = ['old', 'new', 'third'];
    // New agents need the hub: they are all there before anything is killed.
    const attached = await Promise.all(
      places.map((place) => agentOn(fabric.nodes[place]!, `${place}-to-${to}`)),
    );
    const loops = places.map(async (place, i) => {
      const agent = attached[i]!;
      for (let n = 0; !over.signal.aborted; n++) {
        const text = `${place} ${n}`;
        // One after the other: what was not accepted is said again, so that the order is that of the numbers.
        const sent = await agent.send(to, Buffer.from(text)).catch(() => undefined);
        if (sent === undefined) n--;
        else accepted.set(text, sent.id);
        await pause(1000 / RATE, over.signal);
      }
    });
    return {
      accepted,
      stop: async () => {
        over.abort();
        await Promise.all(loops);
      },
    };
  }

  function takeAll(agent: Agent, taken: string[]): void {
    void (async () => {
      for await (const message of agent.messages()) {
        taken.push(new TextDecoder().decode(message.body));
        message.ack();
      }
    })().catch(() => undefined);
  }

  async function move(name: string, toNode = 'new'): Promise<void> {
    const token = await fabric.token();
    const registry = createRpcClient(RegistryServiceDefinition, {
      address: fabric.addresses.registry,
      token: () => token,
    });
    try {
      await eventually(() => registry.moveAgent({ agent: name, toNode }), { timeoutMs: 20_000 });
    } finally {
      registry.close();
    }
  }

  /** The agents that live on a node by its own word. */
  async function hostedAt(node: NodePart): Promise<string[]> {
    const client = createRpcClient(NodeServiceDefinition, {
      address: node.address,
      token: () => node.adminToken(),
    });
    try {
      return (await client.listLocalAgents({})).agents.map(({ name }) => name);
    } finally {
      client.close();
    }
  }

  /** Those of `ids` that have ended: how, and the reason. */
  async function ends(ids: ReadonlySet<string>): Promise<Map<string, [Stage, string]>> {
    const token = await fabric.token();
    const delivery = createRpcClient(DeliveryServiceDefinition, {
      address: fabric.addresses.delivery,
      token: () => token,
    });
    const found = new Map<string, [Stage, string]>();
    try {
      let pageToken = '';
      do {
        const page = await delivery.listMessages({ pageSize: 500, pageToken });
        for (const { id, settlements } of page.messages)
          for (const { stage, reason } of settlements)
            if (ids.has(id) && stage > Stage.DELIVERED) found.set(id, [stage, reason]);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
    } finally {
      delivery.close();
    }
    return found;
  }

  async function check(
    accepted: ReadonlyMap<string, string>,
    before: string[],
    later: string[],
    settleMs = SETTLE_MS,
  ): Promise<string[]> {
    const all = () => new Set([...before, ...later]);
    const missing = () => [...accepted.keys()].filter((text) => !all().has(text));
    await eventually(() => missing().length === 0, { timeoutMs: settleMs, everyMs: 100 }).catch(
      () => undefined,
    );
    const taken = [...before, ...later];
    assert.equal(
      all().size,
      taken.length,
      `doubled: ${taken
        .filter((t, i) => taken.indexOf(t) !== i)
        .slice(0, 10)
        .join(', ')}`,
    );
    for (const place of ['old', 'new', 'third']) {
      const numbers = taken.filter((t) => t.startsWith(`${place} `)).map((t) => Number(t.split(' ')[1]));
      const swapped = numbers.findIndex((n, i) => i > 0 && n < numbers[i - 1]!);
      assert.equal(
        swapped,
        -1,
        `${place}: out of order at ${numbers.slice(Math.max(0, swapped - 3), swapped + 3).join(', ')}`,
      );
    }
    assert.ok(later.length > 0, 'nothing arrived at the new node');
    return missing();
  }

  it('between two nodes that are there', async () => {
    const [before, later]: [string[], string[]] = [[], []];
    takeAll(await agentOn(fabric.nodes['old']!, 'both'), before);
    const load = await senders('both');
    await eventually(() => before.length > 100);
    await move('both');
    takeAll(await agentOn(fabric.nodes['new']!, 'both'), later);
    await eventually(() => later.length > 200, { timeoutMs: 30_000 });
    await load.stop();
    const lost = await check(load.accepted, before, later);
    assert.deepEqual(lost.slice(0, 10), []);
  });

  it('in the middle of an injection: what was shown is proved there or ends there, the rest follows', async () => {
    const old = fabric.nodes['old']!;
    const before = await agentOn(old, 'injected', { window: 2 });
    const shown: Message[] = [];
    void (async () => {
      for await (const message of before.messages({ autoAck: false })) shown.push(message);
    })().catch(() => undefined);
    const sender = await agentOn(fabric.nodes['third']!, 'injector');
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push((await sender.send('injected', Buffer.from(`third ${n}`))).id);
    await eventually(() => shown.length === 2);
    await move('injected');
    await eventually(async () => !(await hostedAt(old)).includes('injected'));
    shown[0]!.ack();
    const later: string[] = [];
    takeAll(await agentOn(fabric.nodes['new']!, 'injected'), later);
    await eventually(() => later.length === 3, { timeoutMs: SETTLE_MS });
    assert.deepEqual(later, ['third 2', 'third 3', 'third 4']);
    assert.equal(shown.length, 2, 'nothing more was shown at the old node');
    const expected = [
      [Stage.CONFIRMED, ''],
      [Stage.UNCONFIRMED, 'AGENT_MOVED'],
      ...[2, 3, 4].map(() => [Stage.CONFIRMED, '']),
    ];
    const told = async () => {
      const found = await ends(new Set(ids));
      return ids.map((id) => found.get(id));
    };
    await eventually(async () => (await told()).every((end) => end !== undefined), { timeoutMs: SETTLE_MS });
    assert.deepEqual(await told(), expected);
  });

  it('from place to place at random, while services and servers are killed', async function () {
    this.timeout(300_000);
    const random = seededRandom();
    const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
    const places = ['old', 'new', 'third'];
    const taken: string[] = [];
    let place = pick(places);
    takeAll(await agentOn(fabric.nodes[place]!, 'roamer'), taken);
    const load = await senders('roamer');
    for (let step = 0; step < STEPS; step++) {
      if (random(5) < 2) {
        const part = fabric.parts[pick(['router', 'registry', 'nats', 'delivery'] as const)];
        console.log(`      kill ${part.name}`);
        await part.kill();
        await pause(random(1000));
        await part.start();
      } else {
        place = pick(places.filter((other) => other !== place));
        console.log(`      move to ${place}`);
        await move('roamer', place);
        // While it is cut off from the hub it knows of no agent that is new.
        const there = await eventually(() => agentOn(fabric.nodes[place]!, 'roamer').catch(() => undefined), {
          timeoutMs: SETTLE_MS,
        });
        takeAll(there, taken);
      }
      await pause(random(1000));
    }
    await load.stop();
    const lost = await check(load.accepted, [], taken);
    assert.deepEqual(lost.slice(0, 10), []);
  });

  it('while the only router stands still', async () => {
    const [before, later]: [string[], string[]] = [[], []];
    takeAll(await agentOn(fabric.nodes['old']!, 'still'), before);
    const load = await senders('still');
    await eventually(() => before.length > 100);
    const router = fabric.parts.router.pid();
    process.kill(router, 'SIGSTOP');
    try {
      await move('still');
      takeAll(await agentOn(fabric.nodes['new']!, 'still'), later);
      // Its leases lapse, so that the move goes on without it.
      await pause(13_000);
    } finally {
      process.kill(router, 'SIGCONT');
    }
    await eventually(() => later.length > 200, { timeoutMs: 30_000 });
    await load.stop();
    const lost = await check(load.accepted, before, later);
    assert.deepEqual(lost.slice(0, 10), []);
  });

  it('from a node that is dead: what it held comes back to its senders when it does', async () => {
    const [before, later]: [string[], string[]] = [[], []];
    const held = await agentOn(fabric.nodes['old']!, 'dead');
    takeAll(held, before);
    const load = await senders('dead');
    await eventually(() => before.length > 100);
    await fabric.nodes['old']!.kill();
    await held.close().catch(() => undefined);
    await pause(1000);
    await move('dead');
    takeAll(await agentOn(fabric.nodes['new']!, 'dead'), later);
    await eventually(() => later.length > 200, { timeoutMs: 30_000 });
    await fabric.nodes['old']!.start();
    await load.stop();
    const lost = await check(load.accepted, before, later, 5000);
    // Of what the dead node held, nothing may end in silence.
    const ids = new Set(lost.map((text) => load.accepted.get(text)!));
    await eventually(async () => (await ends(ids)).size === ids.size, { timeoutMs: SETTLE_MS, everyMs: 500 });
  });
});
