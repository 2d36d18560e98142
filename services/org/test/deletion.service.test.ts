/**
 * Goal: a deletion that is killed at any step and resumed ends as one that nothing has disturbed, and can be undone.
 * Method: org as a process of its own, killed with SIGKILL while it is held by the billing provider or inside a transaction;
 * then a picture of the org in the tables, on the broker and at the provider.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import type { Store } from '@fleetwire/store';
import { eventually, type ServiceProcess } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type HoldAt, hold, prepareHolds } from './audit-hold.ts';
import { testConfig } from './billing/billing-world.ts';
import { StripeDouble } from './billing/stripe-double.ts';
import { type Client, type OrgWorld, reasonOf, secretOf, startOrgWorld } from './fixture.ts';
import { orgProcess } from './org-process.ts';
import { snapshot, type Watched } from './org-snapshot.ts';

const CANCEL = /^DELETE \/v1\/subscriptions/;

/** Where a step is held, and what then becomes of it. */
const HELD: readonly (readonly [HoldAt, string])[] = [
  ['work', 'which is undone'],
  ['commit', 'as it is committed'],
];

interface Victim extends Watched {
  readonly slug: string;
  readonly owner: Client;
}

describe('the deletion of an org', function () {
  this.timeout(180_000);
  let world: OrgWorld;
  let stripe: StripeDouble;
  let main: ServiceProcess;
  let store: Store;
  let broker: Broker;
  let operator: Client;
  let registry: Client;
  let anyone: Client;
  let undisturbed: unknown;
  let count = 0;
  const closing = new AsyncDisposableStack();

  before(async () => {
    stripe = closing.use(await StripeDouble.start());
    world = closing.use(await startOrgWorld({ ownPostgres: true }));
    main = closing.use(await orgProcess(world, testConfig(stripe.url)));
    await main.start();
    store = await world.store();
    broker = await world.broker();
    await prepareHolds(store);
    operator = await world.operator(main);
    registry = await world.asService(main, 'registry');
    anyone = world.client(main);
    for (const standing of [anyone, operator, registry]) await connected(standing);
    undisturbed = await end(await victim());
  });
  after(() => closing.disposeAsync());

  /** Connects before the call that counts: a channel that was cut, or is new on a busy machine, takes its time. */
  const connected = async (made: Client): Promise<Client> => {
    await eventually(async () => (await reasonOf(made.listPlans({}))) === 'none');
    return made;
  };
  const restart = async () => {
    await main.start();
    for (const standing of [anyone, operator, registry]) await connected(standing);
  };
  const as = async (apiKey: string): Promise<Client> => {
    const { token } = await anyone.exchangeKey({ apiKey });
    return connected(world.client(main, () => token));
  };
  const row = async (org: string) =>
    (
      await store.query<{ status: string; step: string | null; due: number | null }>(
        'select status, deletion_step as step, billing_due_at_ms as due from orgs where id = $1',
        [org],
      )
    )[0]!;
  const at = (org: string, step: string) => eventually(async () => (await row(org)).step === step);

  /** An org with something of everything. */
  const victim = async (): Promise<Victim> => {
    const slug = `victim${count++}`;
    const { org, secret } = await operator.createOrg({
      name: 'Victim',
      slug,
      ownerEmail: `owner@${slug}.test`,
    });
    const owner = await as(secret);
    const keys: Record<string, string> = { owner: secret };
    for (const name of ['ann', 'bob', 'gone']) {
      const email = `${name}@${slug}.test`;
      const { url } = await owner.createInvite({ email, role: name === 'ann' ? 'admin' : 'member' });
      keys[name] = (await anyone.acceptInvite({ secret: secretOf(url), email })).apiKey;
    }
    const bob = await as(keys['bob']!);
    const gone = await as(keys['gone']!);
    const repositories = [{ url: 'https://git.example.org/app.git' }];
    const { workspace } = await bob.createWorkspace({ name: 'bobs', repositories });
    await owner.assignAgent({ workspace: workspace!.id, agent: 'robo' });
    await gone.createWorkspace({ name: 'left behind' });
    await gone.leaveOrg({});
    await owner.createPolicy({
      policy: { level: 'org', name: 'all', rules: [{ agents: '*', maxSpawns: 1 }] },
    });
    await owner.createInvite({ email: `open@${slug}.test` });
    await owner.createJoinToken({});
    const revoked = await owner.createApiKey({ name: 'revoked', scopes: ['read'] });
    await owner.revokeApiKey({ id: revoked.key!.id });
    // Only then is it at rest: letters are out, and the members are billed.
    await eventually(
      async () =>
        (await store.query('select from mails where org = $1 and state = $2', [org!.id, 'waiting']))
          .length === 0,
    );
    await eventually(async () => {
      const [live] = stripe.model.liveOf(org!.id);
      return live?.items.data[0]?.quantity === 3 && (await row(org!.id)).due === null;
    });
    return { org: org!.id, slug, owner, keys: { ...keys, revoked: revoked.secret } };
  };

  /** With a token of now: those of before an earlier deletion are worth nothing. */
  const begin = async (doomed: Victim) =>
    (await as(doomed.keys['owner']!)).deleteOrg({ confirmSlug: doomed.slug });
  const confirm = async (doomed: Victim, deletion = 1) => {
    await at(doomed.org, 'clear_agents');
    await registry.confirmCleared({ org: doomed.org, deletion });
  };
  /** The whole of it without a disturbance, and what there is then. */
  const end = async (doomed: Victim) => {
    await begin(doomed);
    await confirm(doomed);
    return picture(doomed);
  };
  const picture = async (doomed: Victim) => {
    await eventually(async () => (await row(doomed.org)).status === 'deleted');
    // A claim on its billing outlives the process that was killed over it by minutes, which are let pass here.
    await store.query('update orgs set billing_due_at_ms = least(billing_due_at_ms, $2) where id = $1', [
      doomed.org,
      Date.now(),
    ]);
    await eventually(async () => {
      const { due } = await row(doomed.org);
      const left = await store.query('select from event_outbox where org = $1', [doomed.org]);
      const state = await world.published(doomed.org);
      return due === null && left.length === 0 && state?.status === 'deleted';
    });
    const { published } = world;
    return snapshot({ store, broker, stripe, published, anyone }, doomed);
  };

  it('leaves what it should', async () => {
    const seen = undisturbed as Record<string, unknown>;
    assert.deepEqual([seen['memberships'], seen['assignments'], seen['outbox']], [[], [], []]);
    assert.deepEqual(seen['subscriptions'], [['canceled', [['price_team', 3]]]]);
    assert.deepEqual(seen['usable'], {
      owner: 'ORG_CLOSED',
      ann: 'ORG_CLOSED',
      bob: 'ORG_CLOSED',
      gone: 'API_KEY_REVOKED',
      revoked: 'API_KEY_REVOKED',
    });
    assert.equal((seen['former'] as unknown[]).length, 3);
    const steps = (seen['audit'] as { action: string }[]).map(({ action }) => action);
    const from = steps.indexOf('org.delete');
    assert.deepEqual(
      steps.slice(from).filter((action) => action.startsWith('org.')),
      [
        'org.delete',
        'org.delete.cancel_subscription',
        'org.cleared',
        'org.delete.suspend_workspaces',
        'org.delete.delete_memberships',
        'org.delete.delete_org',
      ],
    );
  });

  for (const worked of [false, true])
    it(`ends the same when it is killed ${worked ? 'after' : 'before'} the provider has cancelled`, async () => {
      const doomed = await victim();
      const fault = stripe.fail(CANCEL, { kind: 'hang', worked });
      await begin(doomed);
      await fault.reached;
      await main.kill();
      stripe.heal();
      assert.equal(stripe.model.liveOf(doomed.org).length > 0, !worked);
      await restart();
      await confirm(doomed);
      assert.deepEqual(await picture(doomed), undisturbed);
    });

  it('ends the same when it is killed while the registry clears', async () => {
    const doomed = await victim();
    await begin(doomed);
    await at(doomed.org, 'clear_agents');
    await main.kill();
    await restart();
    await confirm(doomed);
    assert.deepEqual(await picture(doomed), undisturbed);
  });

  const steps = ['cancel_subscription', 'suspend_workspaces', 'delete_memberships', 'delete_org'];
  for (const step of steps)
    for (const [when, how] of HELD)
      it(`ends the same when it is killed in ${step}, ${how}`, async () => {
        const doomed = await victim();
        const held = await hold(store, doomed.org, `org.delete.${step}`, when);
        await begin(doomed);
        if (step !== 'cancel_subscription') await confirm(doomed);
        await held.reached;
        await main.kill();
        const { step: before } = await row(doomed.org);
        await held.release();
        assert.equal(before, step);
        // The server undoes or ends what it was about, whoever is there to hear of it.
        if (when === 'commit') await eventually(async () => (await row(doomed.org)).step !== step);
        await restart();
        if (step === 'cancel_subscription') await confirm(doomed);
        assert.deepEqual(await picture(doomed), undisturbed);
      });

  it('ends the same when two replicas are at it, and one is killed again and again', async () => {
    await using second = await orgProcess(world, testConfig(stripe.url));
    const doomed = await victim();
    await second.start();
    await begin(doomed);
    await second.kill();
    await second.start();
    await confirm(doomed);
    await second.kill();
    await second.start();
    assert.deepEqual(await picture(doomed), undisturbed);
  });

  it('goes on when PostgreSQL was killed, and when nats-server was', async () => {
    const first = await victim();
    await begin(first);
    await at(first.org, 'clear_agents');
    const postgres = world.postgres!;
    await postgres.kill();
    // A server process outlives its parent for a moment and may still answer.
    await eventually(async () => (await reasonOf(operator.getOrg({ org: first.org }))) === 'DATABASE_AWAY');
    assert.equal(await reasonOf(registry.confirmCleared({ org: first.org, deletion: 1 })), 'DATABASE_AWAY');
    await postgres.restart();
    await confirm(first);
    assert.deepEqual(await picture(first), undisturbed);

    const second = await victim();
    await world.nats.kill();
    await begin(second);
    await confirm(second);
    await eventually(async () => (await row(second.org)).status === 'deleted');
    await world.nats.restart();
    assert.deepEqual(await picture(second), undisturbed);
  });

  it('is undone while the provider still cancels, and while the registry clears, with nothing lost', async () => {
    const doomed = await victim();
    const live = () => stripe.model.liveOf(doomed.org);
    const whole = async () => {
      const owner = await as(doomed.keys['owner']!);
      await eventually(async () => (await reasonOf(owner.getOrg({}))) === 'none');
      assert.equal((await owner.listMembers({})).members.length, 3);
      const { workspaces, agents } = await owner.listWorkspaces({});
      assert.deepEqual([workspaces.length, agents.map(({ agent }) => agent)], [2, ['robo']]);
      await eventually(async () => {
        const seats = live().map((sub) => sub.items.data[0]!.quantity);
        const { status, due } = await row(doomed.org);
        return status === 'active' && due === null && seats.join() === '3';
      });
      return owner;
    };
    const held = stripe.fail(CANCEL, { kind: 'hold', worked: false });
    await begin(doomed);
    await held.reached;
    await operator.restoreOrg({ org: doomed.org });
    held.release();
    // What was cancelled after all is made anew.
    await eventually(() =>
      stripe.model.subscriptionsOf(doomed.org).some(({ id }) => !live().some((sub) => sub.id === id)),
    );
    const owner = await whole();

    await owner.deleteOrg({ confirmSlug: doomed.slug });
    await at(doomed.org, 'clear_agents');
    await operator.restoreOrg({ org: doomed.org });
    await registry.confirmCleared({ org: doomed.org, deletion: 2 });
    await whole();
  });

  it('is undone at once, twice, but not after thirty days', async () => {
    const doomed = await victim();
    for (const deletion of [1, 2]) {
      await begin(doomed);
      await at(doomed.org, 'clear_agents');
      await registry.confirmCleared({ org: doomed.org, deletion: deletion - 1 });
      assert.equal((await row(doomed.org)).step, 'clear_agents', 'a word about an earlier deletion');
      await confirm(doomed, deletion);
      await eventually(async () => (await row(doomed.org)).status === 'deleted');
      await operator.restoreOrg({ org: doomed.slug });
      await eventually(async () => (await world.published(doomed.org))?.status === 'active');
      const owner = await as(doomed.keys['owner']!);
      await eventually(async () => (await reasonOf(owner.getOrg({}))) === 'none');
      const { members } = await owner.listMembers({});
      const roles = members.map(({ email, role }) => `${email.split('@')[0]} ${role}`).sort();
      assert.deepEqual(roles, ['ann admin', 'bob member', 'owner owner']);
      const { workspaces } = await owner.listWorkspaces({});
      assert.deepEqual(workspaces.map(({ name, status }) => `${name} ${status}`).sort(), [
        'bobs running',
        'left behind suspended',
      ]);
      await eventually(() => stripe.model.liveOf(doomed.org).length > 0);
      assert.equal(await reasonOf(operator.restoreOrg({ org: doomed.slug })), 'ORG_NOT_DELETED');
    }
    await begin(doomed);
    await confirm(doomed, 3);
    await eventually(async () => (await row(doomed.org)).status === 'deleted');
    const days = 24 * 3_600_000;
    await store.query('update orgs set deleted_at_ms = deleted_at_ms - $2 where id = $1', [
      doomed.org,
      31 * days,
    ]);
    assert.equal(await reasonOf(operator.restoreOrg({ org: doomed.org })), 'RESTORE_TOO_LATE');
    await store.query('update orgs set deleted_at_ms = deleted_at_ms + $2 where id = $1', [
      doomed.org,
      2 * days,
    ]);
    assert.equal(await reasonOf(operator.restoreOrg({ org: doomed.org })), 'none');
  });
});
