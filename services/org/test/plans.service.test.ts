/**
 * Goal: a plan's limits bite where they should, name what lifts them, and everybody hears of them; what is used is counted
 * once. Method: replicas of the real service on real servers; another service publishes what was used.
 */

import assert from 'node:assert/strict';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type Client, errorOf, type OrgWorld, reasonOf, secretOf, startOrgWorld } from './fixture.ts';
import { type Neighbour, SOON, startNeighbour } from './neighbour.ts';

describe('plans', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let two: RunningService;
  let neighbour: Neighbour;
  let operator: Client;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    neighbour = await startNeighbour(world);
    operator = await world.operator(one);
  });
  after(async () => {
    await neighbour?.stop();
    await world?.[Symbol.asyncDispose]();
  });

  const fresh = async (name: string, plan: string) => {
    const { id, owner } = await world.otherOrg(one, name);
    if (plan !== 'enterprise') await operator.changePlan({ org: id, plan });
    return { id, boss: owner };
  };
  /** Limit, its value, plan, and the plan that lifts it. */
  const limitOf = async (work: Promise<unknown>) => {
    const error = await errorOf(work);
    if (error?.reason !== 'PLAN_LIMIT') return reasonOf(work);
    assert.equal(error.kind, 'resource_exhausted');
    const { limit, value, plan, lifted_by: by } = error.details;
    return `${limit} ${value} ${plan} ${by}`;
  };

  it('are four, and anybody may read them', async () => {
    const { plans } = await world.client(one).listPlans({});
    const shown = plans.map(({ name, priceCents, seatsMin }) => [name, priceCents, seatsMin]);
    assert.deepEqual(shown, [
      ['free', 0, 0],
      ['pro', 2900, 1],
      ['team', 4900, 3],
      ['enterprise', 0, 1],
    ]);
    assert.deepEqual(plans[0]!.limits, { workspaces: 1, agents: 3, nodes: 1, members: 1 });
  });

  it('of a free org allow one workspace and one member, and say which plan allows more', async () => {
    const { id, boss } = await fresh('free', 'free');
    const { createWorkspace, createInvite } = boss.client;
    await createWorkspace({ name: 'first' });
    assert.equal(await limitOf(createWorkspace({ name: 'second' })), 'workspaces 1 free pro');
    assert.equal(await limitOf(createInvite({ email: 'bob@free.test' })), 'members 1 free pro');
    const { version } = (await boss.client.getOrg({})).org!;
    const sso = boss.client.updateOrg({ version, settings: { ssoEnabled: true } });
    assert.equal(await reasonOf(sso), 'PLAN_FEATURE');
    assert.equal(await reasonOf(boss.client.changePlan({ plan: 'pro' })), 'PLAN_NOT_SOLD');
    await operator.changePlan({ org: id, plan: 'pro' });
    assert.equal(await limitOf(createWorkspace({ name: 'second' })), 'none');
  });

  it('that become smaller take nothing away, and let nothing in', async () => {
    const { id, boss } = await fresh('smaller', 'team');
    const { url } = await boss.client.createInvite({});
    const bob = await world.join(one, boss.client, 'bob@smaller.test');
    await bob.client.createWorkspace({ name: 'first' });
    await bob.client.createWorkspace({ name: 'second' });
    await operator.changePlan({ org: id, plan: 'free' });
    const secret = secretOf(url);
    const accepting = world.client(two).acceptInvite({ secret, email: 'eve@smaller.test' });
    assert.equal(await limitOf(accepting), 'members 1 free pro');
    const plan = await boss.client.getPlan({});
    assert.deepEqual([plan.members, plan.workspaces, plan.openInvites], [2, 2, 1]);
    const { entries } = await boss.client.listAudit({ filter: { actor: 'invitee' } });
    assert.deepEqual(
      entries.map(({ decision, reason }) => [decision, reason]),
      [['denied', 'PLAN_LIMIT']],
    );
    await bob.client.leaveOrg({});
    assert.equal(
      await limitOf(world.client(two).acceptInvite({ secret, email: 'eve@smaller.test' })),
      'members 1 free pro',
    );
  });

  it('hold though many come at once', async () => {
    const { boss } = await fresh('crowd', 'pro');
    const clients = await Promise.all([one, two].map((service) => world.as(service, boss.apiKey)));
    const crowd = (work: (client: Client, i: number) => Promise<unknown>) =>
      Promise.all(Array.from({ length: 10 }, (_, i) => limitOf(work(clients[i % 2]!, i))));
    const made = await crowd((client, i) => client.createWorkspace({ name: `w${i}` }));
    assert.equal(made.filter((reason) => reason === 'none').length, 5, made.join());
    assert.ok(
      made.every((reason) => ['none', 'workspaces 5 pro team'].includes(reason)),
      made.join(),
    );
    // Open invites are members to be.
    const invited = await crowd((client) => client.createInvite({}));
    assert.equal(invited.filter((reason) => reason === 'none').length, 4, invited.join());
  });

  it('are shown with what is used of them, and with the seats that are billed', async () => {
    const { boss } = await fresh('shown', 'team');
    await world.join(one, boss.client, 'bob@shown.test');
    const { plan, limits, members, seats, billingStatus } = await boss.client.getPlan({});
    assert.deepEqual([plan!.name, members, seats, billingStatus], ['team', 2, 3, 'none']);
    assert.deepEqual(limits, { workspaces: -1, agents: 100, nodes: -1, members: -1 });
  });

  it('are overruled in what is named, and in nothing else', async () => {
    const { id } = await fresh('partly', 'free');
    const { limits } = await operator.setLimits({ org: id, limits: { nodes: 4 } });
    assert.deepEqual(limits, { workspaces: 1, agents: 3, nodes: 4, members: 1 });
  });

  it('are overruled by the operator for one org, and all services hear of it', async () => {
    const { id, boss } = await fresh('overruled', 'free');
    const { token } = await world.client(one).exchangeKey(boss);
    const nodes = (value: string) =>
      eventually(async () => (await neighbour.ask(token, 'bob')).detail === value, SOON);
    await nodes('1');
    const limits = { workspaces: 2, agents: 7, nodes: 9, members: -1 };
    assert.deepEqual((await operator.setLimits({ org: 'overruled', limits })).limits, limits);
    await nodes('9');
    assert.deepEqual((await world.published(id))!.limits, limits);
    await boss.client.createWorkspace({ name: 'first' });
    await boss.client.createWorkspace({ name: 'second' });
    assert.equal(await limitOf(boss.client.createWorkspace({ name: 'third' })), 'workspaces 2 free pro');
    await world.join(one, boss.client, 'bob@overruled.test');
    await operator.setLimits({ org: id });
    await nodes('1');
    const { entries } = await boss.client.listAudit({ filter: { action: 'plan.limits' } });
    assert.deepEqual(
      entries.map(({ actorKind, actor }) => [actorKind, actor]),
      [
        ['operator', 'operator'],
        ['operator', 'operator'],
      ],
    );
    assert.deepEqual(JSON.parse(entries[1]!.details['limits']!), limits);
  });

  it('of new orgs are the configured one, or the one that is asked for', async () => {
    const modest = await world.start({ default_plan: 'pro', max_orgs_per_user: 2 });
    const client = await world.as(modest, world.firstKey);
    assert.equal((await client.createOrg({ name: 'modest' })).org!.plan, 'pro');
    assert.equal(await reasonOf(client.createOrg({ name: 'third' })), 'ORG_LIMIT');
    const asked = await operator.createOrg({ name: 'asked', ownerEmail: 'x@asked.test', plan: 'free' });
    assert.equal(asked.org!.plan, 'free');
    await modest.stop();
  });
});

describe('usage', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  before(async () => {
    world = await startOrgWorld();
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('is the greatest of what was told of each day, however often and in whatever order', async () => {
    const [one] = await Promise.all([world.start(), world.start()]);
    const { id: org, owner: boss } = await world.otherOrg(one!, 'usage');
    const other = await world.otherOrg(one!, 'usage-other');
    const broker = await world.broker();
    const say = async (service: string, usage: Event['usage'], claimed = org) => {
      const { usage: name } = EVENT_NAMES;
      const event = Event.fromPartial({
        id: newId('event'),
        org: claimed,
        service,
        name,
        atMs: 1,
        ...(usage ? { usage } : {}),
      });
      const subject = eventSubject.build({ org, service, name });
      await broker.store(subject, encode(Event, event), { msgId: event.id });
    };
    const day = (date: string, messages: number, agents: number) => ({
      day: date,
      messages,
      bytes: messages * 10,
      agents,
      nodes: 1,
    });
    await say('delivery', day('2026-01-02', 7, 0));
    await say('delivery', day('2026-01-02', 5, 0));
    await say('registry', day('2026-01-02', 0, 4));
    await say('delivery', day('2026-01-01', 9, 0));
    // None of these counts: another org's, no day, nothing, and no event at all.
    await say('delivery', day('2026-01-03', 1, 1), other.id);
    await say('delivery', day('yesterday', 1, 1));
    await say('delivery', undefined);
    const subject = eventSubject.build({ org, service: 'delivery', name: EVENT_NAMES.usage });
    await broker.store(subject, Buffer.from('no event'), { msgId: newId('event') });
    await say('delivery', day('2026-01-04', 1, 1));
    // What comes later may be kept earlier, by another replica.
    await eventually(async () => {
      assert.deepEqual((await boss.client.getUsage({})).days, [
        { day: '2026-01-04', messages: 1, bytes: 10, agents: 1, nodes: 1 },
        { day: '2026-01-02', messages: 7, bytes: 70, agents: 4, nodes: 1 },
        { day: '2026-01-01', messages: 9, bytes: 90, agents: 0, nodes: 1 },
      ]);
      return true;
    });
    assert.equal((await boss.client.getUsage({ days: 2 })).days.length, 2);
    assert.deepEqual((await other.owner.client.getUsage({})).days, []);
  });
});
