/**
 * Goal: a roster brings the node's agents in step with the registry, whatever that answers, and never undoes what is new.
 * Method: the real book and database, and a registry that is a few functions.
 */

import assert from 'node:assert/strict';
import {
  type Agent,
  AgentProfile,
  type RegisterAgentRequest,
  type RosterAgent,
  RosterOutcome,
} from '@fleetwire/gen/registry';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { eventually, silentLog as log } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { Registration } from '../src/agents/registration.ts';
import { RosterSync } from '../src/agents/roster-sync.ts';
import {
  addAgent,
  entryFor,
  hold,
  NODE,
  refusalOf,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

/** Answers what it is told to; keeps what it was asked. */
class FakeDoor {
  readonly rosters: RosterAgent[][] = [];
  readonly registered: RegisterAgentRequest[] = [];
  readonly gone: string[] = [];
  removed: string[] = [];
  outcome: (agent: RosterAgent) => Partial<RosterOutcome> = (agent) => ({ agent: agentOf(agent) });
  register: (request: RegisterAgentRequest) => Agent = (request) =>
    agentOf({ ...request, id: newId('agent') });
  before: () => Promise<unknown> = async () => undefined;
  away = false;

  async syncRoster(agents: RosterAgent[], removed: string[]): Promise<RosterOutcome[]> {
    this.rosters.push(agents);
    this.removed = removed;
    await this.before();
    if (this.away) throw new FleetwireError('unavailable', 'AWAY', 'away');
    return agents.map((agent) => RosterOutcome.fromPartial(this.outcome(agent) as object));
  }
  async registerAgent(request: RegisterAgentRequest): Promise<Agent> {
    if (this.away) throw new FleetwireError('unavailable', 'AWAY', 'away');
    this.registered.push(request);
    return this.register(request);
  }
  async deregisterAgent(agent: string): Promise<void> {
    if (this.away) throw new FleetwireError('unavailable', 'AWAY', 'away');
    this.gone.push(agent);
  }
}

function agentOf(agent: {
  id: string;
  name: string;
  adapter: string;
  profile: AgentProfile | undefined;
}): Agent {
  const rest = { node: NODE, nodeName: 'here', status: 'online', moving: false };
  return { ...agent, ...rest, registeredAtMs: 1, lastSeenAtMs: 1, epoch: 1 };
}

describe('roster', () => {
  let test: TestEngine;
  let door: FakeDoor;
  let registration: Registration;
  let moved: HostedAgent[];
  let dismissed: HostedAgent[];

  beforeEach(async () => {
    test = await testEngine();
    make();
  });
  afterEach(() => test.close());

  function make(): void {
    const { book, tables, turns, arrivals } = test.engine;
    door = new FakeDoor();
    moved = [];
    dismissed = [];
    const parts = { book, table: tables.agents, turns, door, log, clock: test.clock, arrivals };
    const onDismissed = (agent: HostedAgent) => void dismissed.push(agent);
    const onMoved = (agent: HostedAgent) => void moved.push(agent);
    registration = new Registration({
      ...parts,
      agentsMax: 10,
      retryMs: 60_000,
      moved: onMoved,
      dismissed: onDismissed,
    });
  }

  const named = (name: string) => test.engine.book.byName(name);
  const profile = (more: Partial<AgentProfile> = {}) => AgentProfile.fromPartial(more);

  it('tells all agents by one call, and says no more until something changes', async () => {
    for (const name of ['alice', 'bob']) await addAgent(test.engine, name);
    registration.forgotten();
    await registration.catchUp();
    await registration.catchUp();
    assert.deepEqual(
      door.rosters.map((roster) => roster.map((agent) => agent.name)),
      [['alice', 'bob']],
    );
    assert.equal(door.registered.length, 0);
    await registration.describe(named('bob')!, profile({ model: 'm' }));
    await registration.catchUp();
    assert.equal(door.rosters.length, 2);
    assert.deepEqual(
      door.rosters[1]!.map((agent) => agent.profile?.model),
      [undefined, 'm'],
    );
  });

  it('takes another id for an agent that was forgotten, and keeps its token and its profile', async () => {
    const alice = await addAgent(test.engine, 'alice');
    const { id: before, localId } = alice;
    await registration.describe(alice, profile({ model: 'm' }));
    const id = newId('agent');
    door.outcome = (agent) => ({ agent: { ...agentOf(agent), id } });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual([alice.id, alice.localId], [id, localId]);
    test = await test.crash();
    const { book } = test.engine;
    assert.equal(book.byId(id)?.profile?.model, 'm');
    assert.equal(book.byLocalId(localId), book.byId(id));
    assert.equal(book.byId(before), undefined);
  });

  it('waits for no mail from elsewhere for an agent that was forgotten on its way here', async () => {
    const { turns, arrivals, book } = test.engine;
    const said = { agent: newId('agent'), epoch: 7, end: false, name: 'alice', adapter: 'stream' };
    await turns.run(() => arrivals.announced(said));
    const alice = book.byId(said.agent)!;
    const taker = new TestTaker();
    alice.taker = taker;
    await hold(test, alice, entryFor(alice.id, test.clock));
    door.outcome = (agent) => ({ agent: agentOf(agent) });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.equal(taker.taken.length, 0, 'by the same id it may still be under way');
    door.outcome = (agent) => ({ agent: { ...agentOf(agent), id: newId('agent') } });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual([taker.taken.length, alice.moving.arriving], [1, 0]);
  });

  it('follows the names of the registry, also when two have taken each other’s', async () => {
    const [alice, bob] = [await addAgent(test.engine, 'alice'), await addAgent(test.engine, 'bob')];
    const names: Record<string, string> = { [alice.id]: 'bob', [bob.id]: 'ALICE' };
    door.outcome = (agent) => ({ agent: { ...agentOf(agent), name: names[agent.id]! } });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual([named('bob'), named('alice'), alice.name, bob.name], [alice, bob, 'bob', 'ALICE']);
    test = await test.crash();
    assert.deepEqual([named('bob')?.id, named('alice')?.id], [alice.id, bob.id]);
    assert.equal(test.broken.length, 0);
  });

  it('leaves a name to the agent that has it here, though the registry gave it to another one', async () => {
    const [alice, bob] = [await addAgent(test.engine, 'alice'), await addAgent(test.engine, 'bob')];
    const carol = await addAgent(test.engine, 'carol');
    const taken = { reason: 'NAME_TAKEN', message: 'taken', suggestion: 'bob-2' };
    door.outcome = (agent) => {
      if (agent.id === bob.id) return taken;
      return { agent: { ...agentOf(agent), name: agent.id === alice.id ? 'bob' : 'alice' } };
    };
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual([alice.name, bob.name, carol.name], ['alice', 'bob', 'carol']);
    assert.deepEqual([named('alice'), named('bob'), named('carol')], [alice, bob, carol]);
    assert.equal(test.broken.length, 0);
  });

  it('keeps an agent whose name is taken, leaves it out of the digest, and tries again later', async () => {
    const [alice, bob] = [await addAgent(test.engine, 'alice'), await addAgent(test.engine, 'bob')];
    const taken = { reason: 'NAME_TAKEN', message: 'taken', suggestion: 'alice-2' };
    door.outcome = (agent) => (agent.id === alice.id ? taken : { agent: agentOf(agent) });
    registration.forgotten();
    await registration.catchUp();
    assert.deepEqual(alice.refused, taken);
    assert.deepEqual([...test.engine.book.rosterIds()], [bob.id]);
    await registration.catchUp();
    assert.equal(door.rosters.length, 1);
    door.outcome = (agent) => ({ agent: agentOf(agent) });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual([alice.refused, [...test.engine.book.rosterIds()]], [undefined, [alice.id, bob.id]]);
  });

  it('says which agent a person has removed', async () => {
    const alice = await addAgent(test.engine, 'alice');
    door.outcome = () => ({ reason: 'AGENT_REMOVED' });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual(dismissed, [alice]);
  });

  it('is told at once when a difference comes up in the very moment in which there was none', async () => {
    await addAgent(test.engine, 'alice');
    await registration.catchUp();
    const before = door.rosters.length;
    void registration.catchUp();
    registration.rosterDiffers();
    await eventually(() => door.rosters.length === before + 1);
  });

  it('says which agent has moved', async () => {
    const alice = await addAgent(test.engine, 'alice');
    door.outcome = () => ({ reason: 'AGENT_MOVED' });
    registration.rosterDiffers();
    await registration.catchUp();
    assert.deepEqual(moved, [alice]);
  });

  it('leaves out what was removed, and forgets it once that is told', async () => {
    const [alice] = [await addAgent(test.engine, 'alice'), await addAgent(test.engine, 'bob')];
    door.away = true;
    await remove(alice);
    await assert.rejects(registration.catchUp(), { reason: 'AWAY' });
    assert.deepEqual(test.engine.book.removed(), [alice]);
    door.away = false;
    await registration.catchUp();
    assert.deepEqual(
      door.rosters.at(-1)!.map((agent) => agent.name),
      ['bob'],
    );
    assert.deepEqual(test.engine.book.removed(), []);
  });

  it('takes a name up again whose removal the registry has not heard of', async () => {
    const alice = await addAgent(test.engine, 'alice');
    door.away = true;
    await remove(alice);
    const refused = await refusalOf(() => registration.ensure('alice', { adapter: 'stream' }));
    assert.equal(refused.reason, 'HUB_UNREACHABLE');
    door.away = false;
    // As the registry answers while it has the old one.
    door.register = (request) =>
      agentOf({ ...request, id: door.gone.includes(alice.id) ? newId('agent') : alice.id });
    const anew = await registration.ensure('alice', { adapter: 'stream' });
    assert.notEqual(anew.id, alice.id);
    assert.equal(test.broken.length, 0);
  });

  it('finds that a new name is the one that an agent of this node has got at the registry', async () => {
    const alice = await addAgent(test.engine, 'alice');
    door.register = (request) => agentOf({ ...request, id: alice.id });
    const found = await registration.ensure('alicia', { adapter: 'stream' });
    assert.deepEqual([found, alice.name, test.broken.length], [alice, 'alicia', 0]);
  });

  it('registers nobody while a roster is under way that does not name them', async () => {
    await addAgent(test.engine, 'alice');
    let release = (): void => undefined;
    door.before = () => new Promise<void>((resolve) => (release = resolve));
    registration.forgotten();
    const telling = registration.catchUp();
    await eventually(() => door.rosters.length === 1);
    const coming = registration.ensure('bob', { adapter: 'stream' });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(door.registered.length, 0);
    release();
    await telling;
    assert.equal((await coming).name, 'bob');
  });

  it('sends what is asked for while a roster is under way with one more, not more', async () => {
    const alice = await addAgent(test.engine, 'alice');
    let release = (): void => undefined;
    door.before = () => new Promise<void>((resolve) => (release = resolve));
    registration.forgotten();
    const telling = registration.catchUp();
    await eventually(() => door.rosters.length === 1);
    door.before = async () => undefined;
    for (const model of ['a', 'b', 'c']) await registration.describe(alice, profile({ model }));
    release();
    await telling;
    assert.deepEqual(
      door.rosters.map(([agent]) => agent!.profile?.model),
      [undefined, 'c'],
    );
  });

  it('sends no more of the profiles at once than fits', async () => {
    const { book, tables, turns, arrivals } = test.engine;
    for (const name of ['alice', 'bob', 'carol']) {
      const agent = await addAgent(test.engine, name);
      agent.profile = profile({ model: 'm'.repeat(60) });
    }
    const roster = new RosterSync({ book, table: tables.agents, turns, door, log, arrivals }, 150);
    for (let i = 0; i < 3; i++) await roster.tell();
    assert.deepEqual(
      door.rosters.map((agents) => agents.map((agent) => agent.profile !== undefined)),
      [
        [true, true, false],
        [false, false, true],
        [false, false, false],
      ],
    );
  });

  it('makes one of two by one name: registered here while another was announced by a move that came to nothing', async () => {
    const { arrivals, turns, book } = test.engine;
    const mark = { agent: newId('agent'), epoch: 7, end: false, name: 'bob', adapter: 'stream' };
    const answered = newId('agent');
    door.register = (request) => {
      turns.add(() => arrivals.announced(mark));
      return agentOf({ ...request, id: answered });
    };
    const bob = await registration.ensure('bob', { adapter: 'stream' });
    assert.deepEqual([bob.id, bob.moving.arriving, book.byName('bob')], [answered, 0, bob]);
    await turns.run(() => arrivals.complete({ ...mark, end: true }));
    test = await test.crash();
    assert.equal(test.engine.book.byName('bob')?.id, answered);
  });

  it('tells which agents it had and has removed', async () => {
    const bob = await addAgent(test.engine, 'bob');
    door.away = true;
    await remove(bob);
    door.away = false;
    await registration.catchUp();
    assert.deepEqual([door.rosters.at(-1), door.removed], [[], [bob.id]]);
  });

  it('says an agent one by one to a hub that takes no rosters, and notes who is refused', async () => {
    const [alice, bob] = [await addAgent(test.engine, 'alice'), await addAgent(test.engine, 'bob')];
    door.syncRoster = async () => {
      throw new FleetwireError('unimplemented', 'UNIMPLEMENTED', 'no');
    };
    const { id } = alice;
    door.register = (request) => {
      if (request.name === 'alice') return agentOf({ ...request, id });
      throw new FleetwireError('already_exists', 'NAME_TAKEN', 'taken', { details: { suggestion: 'bob-2' } });
    };
    registration.forgotten();
    await registration.catchUp();
    await registration.catchUp();
    assert.equal(door.registered.length, 2);
    assert.deepEqual([alice.registered, bob.refused?.suggestion], [true, 'bob-2']);
  });

  async function remove(agent: HostedAgent): Promise<void> {
    const { turns, tables, book } = test.engine;
    await turns.run(() => {
      tables.agents.markRemoved(agent.num);
      book.markRemoved(agent);
    });
    await registration.remove(agent);
  }
});
