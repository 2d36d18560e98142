// Goal: one recipient that stands still is felt by its senders alone: its queue fills to its bound, its senders hear that it is
// busy and are refused what is too much, mail for all others goes on, and once it goes on all that was accepted arrives.
// Method: the whole fabric as separate processes, three nodes, one of them the hub's; a session that reads and acknowledges
// nothing until it is told to; what each program took is held against what was accepted, and every message against its end.

import { strict as assert } from 'node:assert';
import { Stage } from '@fleetwire/gen/message';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { type FleetwireError, pause } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { type Agent, connect, type Message, type Receipt } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type NodePart, type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const QUEUE = 200;
const PER_RECIPIENT = 30;
/** Between two messages of one sender to the one that stands still: far above what a word of it takes to get around. */
const PACE_MS = 20;
const OTHERS = 300;
const SETTLE = { timeoutMs: 45_000 };

/** One sender's messages to one recipient, as they were accepted: text to id, in order. */
type Accepted = Map<string, string>;

describe('a recipient that stands still', function () {
  this.timeout(180_000);
  let fabric: SeparateFabric;
  const open: Agent[] = [];
  const clients: { close(): void }[] = [];

  before(async () => {
    fabric = await startSeparateFabric({
      nodes: ['left', 'right', 'hub'],
      env: {
        FLEETWIRE_NODE_OUTBOX_RECIPIENT_MESSAGES: String(PER_RECIPIENT),
        FLEETWIRE_NODE_BUSY_RETRY_MS: '1000',
        FLEETWIRE_NODE_CREDIT_LAPSE_MS: '1000',
        // Without an acknowledgement nobody is told that there is no proof.
        FLEETWIRE_NODE_OBSERVE_MS: '60000',
      },
    });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') fabric.keep();
    await Promise.all(open.splice(0).map((agent) => agent.close().catch(() => undefined)));
    for (const client of clients.splice(0)) client.close();
  });
  after(() => fabric[Symbol.asyncDispose]());

  async function agentOn(place: string, name: string, more: object = {}): Promise<Agent> {
    const { address, adminToken } = fabric.nodes[place]!;
    const agent = await connect({ address, token: adminToken(), name, ...more });
    open.push(agent);
    return agent;
  }

  function clientOf({ address, adminToken }: NodePart) {
    const client = createRpcClient(NodeServiceDefinition, { address, token: adminToken, deadlineMs: 20_000 });
    clients.push(client);
    return client;
  }

  /** All that an agent takes, acknowledged as it comes. */
  function taking(agent: Agent): string[] {
    const texts: string[] = [];
    void (async () => {
      for await (const message of agent.messages()) {
        texts.push(message.text);
        message.ack();
      }
    })().catch(() => undefined);
    return texts;
  }

  /** Final receipts by message id. */
  function endsOf(agent: Agent, ends: Map<string, Receipt>): void {
    void (async () => {
      for await (const receipt of agent.receipts()) if (receipt.final) ends.set(receipt.messageId, receipt);
    })().catch(() => undefined);
  }

  /** Sends until the node refuses. */
  async function sendUntilRefused(
    sender: Agent,
    to: string,
  ): Promise<{ accepted: Accepted; error: FleetwireError }> {
    const accepted: Accepted = new Map();
    for (let n = 0; ; n++) {
      try {
        const text = `${sender.name} ${n}`;
        accepted.set(text, (await sender.send(to, text)).id);
      } catch (error) {
        return { accepted, error: error as FleetwireError };
      }
      assert.ok(n < 10 * QUEUE, 'nobody is refused');
      await pause(PACE_MS);
    }
  }

  it('fills its own queue and nobody else’s, and gets all of its mail once it goes on', async () => {
    const { left, right } = fabric.nodes as Record<'left' | 'right', NodePart>;
    const bob = await agentOn('right', 'bob', { queue: { messages: QUEUE } });
    const seen: Message[] = [];
    let goesOn = false;
    void (async () => {
      for await (const message of bob.messages({ autoAck: false })) {
        seen.push(message);
        if (goesOn) message.ack();
      }
    })().catch(() => undefined);
    const others = { dan: 'right', eve: 'left', fay: 'hub' } as const;
    const taken = new Map<string, string[]>();
    for (const [name, place] of Object.entries(others)) taken.set(name, taking(await agentOn(place, name)));
    const ends = new Map<string, Receipt>();
    const senders = await Promise.all(
      ['left', 'hub'].map((place) => agentOn(place, `${place}-sender`, { receipts: true })),
    );
    for (const sender of senders) endsOf(sender, ends);

    const refused = await Promise.all(senders.map((sender) => sendUntilRefused(sender, 'bob')));
    for (const { error } of refused) {
      assert.deepEqual([error.kind, error.reason], ['resource_exhausted', 'RECIPIENT_BUSY']);
      assert.ok((error.retryAfterMs ?? 0) > 0);
    }
    const [node, home] = [clientOf(left), clientOf(right)];
    const bobAtHome = async () => (await home.listLocalAgents({})).agents.find(({ name }) => name === 'bob')!;
    const { queueDepth, busy } = await bobAtHome();
    assert.ok(busy && queueDepth <= QUEUE && queueDepth >= QUEUE * 0.8, `${queueDepth} in the queue`);
    await eventually(async () => {
      const held = (await node.nodeStatus({})).heldBack.find(({ to }) => to === 'bob');
      return held !== undefined && held.reason === 'queue_full' && held.waiting >= PER_RECIPIENT - 2;
    });

    const [sender] = senders;
    const sent: Accepted[] = [];
    for (const name of Object.keys(others)) {
      const accepted: Accepted = new Map();
      for (let n = 0; n < OTHERS; n++) accepted.set(`${n}`, (await sender!.send(name, `${n}`)).id);
      sent.push(accepted);
    }
    for (const [i, name] of Object.keys(others).entries()) {
      await eventually(() => taken.get(name)!.length >= OTHERS, SETTLE);
      assert.deepEqual(taken.get(name), [...sent[i]!.keys()], name);
    }
    assert.ok((await bobAtHome()).queueDepth <= QUEUE);

    goesOn = true;
    for (const message of seen) message.ack();
    const all = [...refused.map(({ accepted }) => accepted), ...sent];
    await eventually(
      () => all.every((accepted) => [...accepted.values()].every((id) => ends.has(id))),
      SETTLE,
    );
    for (const { accepted } of refused) {
      const returned = [...accepted].filter(([, id]) => ends.get(id)!.stage !== Stage.CONFIRMED);
      assert.deepEqual(returned, [], 'nothing overflows: the senders hear in time');
      const whose = [...accepted.keys()][0]!.split(' ')[0]!;
      const mine = seen.map(({ text }) => text).filter((text) => text.startsWith(whose));
      assert.deepEqual(mine, [...accepted.keys()]);
    }
    await eventually(async () => {
      const { heldBack, outboxDepth } = await node.nodeStatus({});
      return heldBack.length === 0 && outboxDepth === 0;
    }, SETTLE);
    assert.equal((await bobAtHome()).busy, false);
    assert.ok((await sender!.send('bob', 'and more')).id);
    await eventually(() => seen.at(-1)?.text === 'and more', SETTLE);
  });
});
