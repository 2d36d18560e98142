/** What tests of moving agents put beside a registry: routers that say what they are told to, and a look into inboxes. */

import { type Broker, claimLease } from '@fleetwire/broker';
import { flushSubject, inboxSubject, LEASE_KEYS, LEASES_BUCKET, MANY } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Envelope, FlushRequest, FlushResponse, InboxPack } from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import { newMessageId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before } from 'mocha';
import { type RegistryWorld, registered, startRegistryWorld, type TestNode } from './fixture.ts';
import { entry } from './mail-sample.ts';

/** Among the live routers until `stop`. */
export async function standInRouter(
  broker: Broker,
  instance: string,
  flushed: (asked: FlushRequest) => boolean,
): Promise<{ asked: FlushRequest[]; stop(): Promise<void> }> {
  const claims = claimLease(await broker.bucket(LEASES_BUCKET), instance);
  const lease = await claims.acquire(LEASE_KEYS.router(instance));
  const asked: FlushRequest[] = [];
  const subscription = broker.subscribe(flushSubject.build({ instance }), (message) => {
    const request = FlushRequest.decode(message.data);
    asked.push(request);
    message.respond(encode(FlushResponse, { flushed: flushed(request) }));
  });
  const stop = async () => {
    subscription.stop();
    await lease!.release();
  };
  return { asked, stop };
}

export const inboxOf = (node: TestNode, agent: Agent): string =>
  inboxSubject.build({ shard: 0, org: node.welcome.org, node: node.id, agent: agent.id });

/** A pack of mail in the agent's inbox at that node, as a router would put it there. */
export async function putAt(
  broker: Broker,
  node: TestNode,
  agent: Agent,
  texts: readonly string[],
): Promise<void> {
  const entries = texts.map((text) => entry(agent, node, text));
  const pack = encode(InboxPack, { entries, mark: undefined });
  await broker.store(inboxOf(node, agent), pack, { msgId: newMessageId() });
}

/** The same text for several agents of that node. */
export async function putForMany(
  broker: Broker,
  node: TestNode,
  agents: readonly Agent[],
  text: string,
): Promise<void> {
  const entries = [{ ...entry(agents[0]!, node, text), recipients: agents.map(({ id }) => id) }];
  const pack = encode(InboxPack, { entries, mark: undefined });
  await broker.store(manyOf(node), pack, { msgId: newMessageId() });
}

export const manyOf = (node: TestNode): string =>
  inboxSubject.build({ shard: 0, org: node.welcome.org, node: node.id, agent: MANY });

/** What waits on an inbox subject, in order: texts, those that were moved with a plus, and marks. */
export async function waitingAt(broker: Broker, subject: string): Promise<string[]> {
  const found: string[] = [];
  for (let from = 1; ; ) {
    const message = await broker.messages.nextBySubject('INBOX', subject, from);
    if (message === undefined) return found;
    from = message.sequence + 1;
    const { entries, mark } = InboxPack.decode(message.data);
    if (mark !== undefined) found.push(mark.end ? 'end' : `begin ${mark.name} ${mark.adapter}`);
    for (const { envelope, movedEpoch } of entries)
      found.push(`${Buffer.from(Envelope.decode(envelope).body).toString()}${movedEpoch === 0 ? '' : '+'}`);
  }
}

const SETTINGS = {
  move_ms: 50,
  move_flush_ms: 300,
  move_opening_ms: 500,
  sweep_ms: 100,
  flush_ms: 20,
  heartbeats_burst: 10_000,
};
const NEVER = 9_000_000_000_000_000;

/** Two orgs, a registry that looks at moves often, and what tests do with it; to be called within a describe. */
export function movingRig() {
  let world: RegistryWorld;
  let service: RunningService;
  let store: Store;
  let broker: Broker;
  let names = 0;
  const routers: (() => Promise<void>)[] = [];

  before(async () => {
    world = await startRegistryWorld();
    service = await world.start(SETTINGS);
    store = await world.store();
    broker = await world.broker();
  });
  const stopRouters = async () => {
    for (const stop of routers.splice(0)) await stop();
  };
  afterEach(stopRouters);
  after(() => world?.[Symbol.asyncDispose]());

  /** Of one owner and the newest protocol unless told. */
  async function node(over: { owner?: string; protocol?: number; org?: string } = {}): Promise<TestNode> {
    const made = await world.node(service, `node-${++names}`, over.org);
    const { owner = 'u_owner', protocol = 2 } = over;
    await store.query('update nodes set owner = $2, protocol = $3 where id = $1', [made.id, owner, protocol]);
    return made;
  }
  const away = (node: TestNode) =>
    store.query('update nodes set left_at_ms = $2 where id = $1', [node.id, NEVER]);
  const back = (node: TestNode) => store.query('update nodes set left_at_ms = 0 where id = $1', [node.id]);
  const movable = (agent: Agent) => store.query('update agents set movable = true where id = $1', [agent.id]);
  const agentOn = (node: TestNode) => registered(node, `agent-${++names}`);
  const admin = () => world.asUser(service, ['admin']);
  async function lastMove(agent: Agent) {
    const sql = 'select state, epoch from moves where agent = $1 order by epoch desc limit 1';
    return (await store.query<{ state: string; epoch: number }>(sql, [agent.id]))[0];
  }
  const stateOf = async (agent: Agent) => (await lastMove(agent))?.state;
  const reaches = (agent: Agent, state: string) => eventually(async () => (await stateOf(agent)) === state);
  const epochOf = async (agent: Agent) => (await lastMove(agent))!.epoch;
  /** In the place of the one before. */
  async function restart(settings: Readonly<Record<string, number>>): Promise<void> {
    const other = await world.start({ ...SETTINGS, ...settings });
    await service.stop();
    service = other;
  }

  async function router(flushed: (asked: FlushRequest) => boolean): Promise<{ asked: FlushRequest[] }> {
    const { asked, stop } = await standInRouter(broker, `router-${++names}`, flushed);
    routers.push(stop);
    return { asked };
  }

  const put = (node: TestNode, agent: Agent, ...texts: string[]) => putAt(broker, node, agent, texts);
  const waiting = (node: TestNode, agent: Agent) => waitingAt(broker, inboxOf(node, agent));
  return {
    node,
    away,
    back,
    movable,
    agentOn,
    admin,
    stateOf,
    reaches,
    epochOf,
    restart,
    router,
    stopRouters,
    put,
    waiting,
    world: () => world,
    service: () => service,
    store: () => store,
    broker: () => broker,
  };
}
