/**
 * Goal: what was committed is told to others in order, once and entirely, whatever was away or died meanwhile; and while
 * PostgreSQL is away callers are told so. Method: SIGKILL to servers and to replicas, then the stream, the bucket and the tables.
 */

import assert from 'node:assert/strict';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { bootstrapFabric } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { errorOf, type OrgWorld, type Person, reasonOf, startOrgWorld } from './fixture.ts';
import { orgProcess } from './org-process.ts';
import { eventsOf } from './org-snapshot.ts';
import { stalledLink } from './stalled-link.ts';

describe('org in outages', function () {
  this.timeout(120_000);
  let world: OrgWorld;
  let store: Store;
  beforeEach(async () => {
    world = await startOrgWorld({ ownPostgres: true });
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const waiting = () => store.query<{ name: string }>('select name from event_outbox order by id');
  const told = async (org: string) =>
    (await eventsOf(await world.broker(), org)).map((text) => text.split(' ')[0]!);
  /** Published as it is in the database, and nothing is left to be told. */
  const settled = (org: string) =>
    eventually(async () => {
      const [row] = await store.query<{ version: number }>(
        'select state_version as version from orgs where id = $1',
        [org],
      );
      const state = await world.published(org);
      return (await waiting()).length === 0 && state?.version === row!.version ? state : undefined;
    });
  const work = async (person: Person, from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const { workspace } = await person.client.createWorkspace({ name: `w${i}` });
      await person.client.assignAgent({ workspace: workspace!.id, agent: `a${i}` });
    }
  };
  const toldOf = (count: number) =>
    Array.from({ length: count }, () => ['workspace_created', 'agent_assigned']).flat();

  it('tells what was changed while nats-server was away, in order, once it is back', async () => {
    const [one, two] = [await world.start(), await world.start()];
    store = await world.store();
    const { id, owner } = await world.otherOrg(one, 'away');
    const other = { ...owner, client: await world.as(two, owner.apiKey) };
    await work(owner, 0, 2);
    await settled(id);
    await world.nats.kill();
    for (let i = 2; i < 12; i++) await work(i % 2 ? owner : other, i, i + 1);
    assert.equal((await waiting()).length, 20);
    await world.nats.restart();
    const state = await settled(id);
    assert.deepEqual(
      state.assignments.map(({ agent }) => agent).sort(),
      Array.from({ length: 12 }, (_, i) => `a${i}`).sort(),
    );
    assert.deepEqual(await told(id), ['org_created', ...toldOf(12)]);
  });

  it('tells in another replica what one that died has committed and told nobody', async () => {
    await using link = await stalledLink(world.nats.port);
    await using doomed = await orgProcess(world, {}, `nats://127.0.0.1:${link.port}`);
    await doomed.start();
    const one = await world.start();
    store = await world.store();
    const { id, owner } = await world.otherOrg(one, 'orphans');
    await settled(id);
    await one.stop();
    const client = await world.as(doomed, owner.apiKey);
    link.stall();
    await work({ ...owner, client }, 0, 3);
    await doomed.kill();
    assert.deepEqual(
      (await waiting()).map(({ name }) => name),
      toldOf(3),
    );
    // Any replica does, also one that has never heard of it.
    await world.start();
    const state = await settled(id);
    assert.equal(state.assignments.length, 3);
    assert.deepEqual(await told(id), ['org_created', ...toldOf(3)]);
  });

  it('takes over what a replica beside it has left untold, without a restart', async () => {
    const one = await world.start();
    store = await world.store();
    const { id, owner } = await world.otherOrg(one, 'beside');
    await settled(id);
    await using link = await stalledLink(world.nats.port);
    await using doomed = await orgProcess(
      world,
      { relay_interval_ms: 5000 },
      `nats://127.0.0.1:${link.port}`,
    );
    await doomed.start();
    const client = await world.as(doomed, owner.apiKey);
    link.stall();
    await work({ ...owner, client }, 0, 3);
    await doomed.kill();
    assert.equal((await settled(id)).assignments.length, 3);
    assert.deepEqual(await told(id), ['org_created', ...toldOf(3)]);
  });

  it('fills the bucket again when it was lost and bootstrap has made it anew', async () => {
    const one = await world.start();
    store = await world.store();
    const { id, owner } = await world.otherOrg(one, 'bucket');
    await work(owner, 0, 2);
    const before = await settled(id);
    const acme = await settled(world.trust.orgs[0]!.id);
    const lose = async () => {
      const broker = await world.broker();
      await broker.request(`$JS.API.STREAM.DELETE.KV_${ORGS_BUCKET.name}`, new Uint8Array(), 5000);
      await bootstrapFabric({ keysDir: world.keysDir, natsUrls: [world.nats.url] });
    };
    await lose();
    assert.equal(await world.published(id), undefined);
    await world.nats.kill();
    await world.nats.restart();
    // Without a word of anybody: by the reconnect, and then when a replica starts.
    assert.deepEqual(await settled(id), before);
    assert.deepEqual(await settled(acme.org), acme);
    await one.stop();
    await lose();
    assert.equal(await world.published(id), undefined);
    await world.start();
    assert.deepEqual(await settled(id), before);
    assert.deepEqual(await settled(acme.org), acme);
  });

  it('fills the bucket again when a change could not be told for want of it', async () => {
    const one = await world.start();
    store = await world.store();
    const { id, owner } = await world.otherOrg(one, 'want');
    await settled(id);
    const untouched = world.trust.orgs[0]!.id;
    const acme = await settled(untouched);
    const broker = await world.broker();
    await broker.request(`$JS.API.STREAM.DELETE.KV_${ORGS_BUCKET.name}`, new Uint8Array(), 5000);
    await owner.client.createWorkspace({ name: 'told later' });
    // Nothing shows that it was tried but the time that passes.
    await store.query('select pg_sleep(3)');
    await bootstrapFabric({ keysDir: world.keysDir, natsUrls: [world.nats.url] });
    await eventually(async () => (await world.published(untouched)) !== undefined);
    assert.deepEqual(await settled(untouched), acme);
  });

  it('says that PostgreSQL is away, and works again with all that it had said was done', async () => {
    const replicas = [await world.start(), await world.start()];
    store = await world.store();
    const { id, owner } = await world.otherOrg(replicas[0]!, 'killed');
    const clients = await Promise.all(replicas.map((replica) => world.as(replica, owner.apiKey)));
    const done: string[] = [];
    const faults = new Set<string>();
    let count = 0;
    let away = 0;
    let going = true;
    const caller = async (client: (typeof clients)[number]) => {
      while (going) {
        const name = `w${count++}`;
        const error = await errorOf(client.createWorkspace({ name }));
        if (error === undefined) done.push(name);
        else if (error.reason === 'DATABASE_AWAY') away += 1;
        else faults.add(`${error.reason}: ${error.message}`);
      }
    };
    const callers = [...clients, ...clients, ...clients].map(caller);
    const postgres = world.postgres!;
    for (let kills = 0; kills < 3; kills++) {
      const [before, refused] = [done.length, away];
      await eventually(() => done.length > before + 10);
      await postgres.kill();
      await eventually(() => away > refused);
      await postgres.restart();
    }
    const last = done.length;
    await eventually(() => done.length > last + 10);
    going = false;
    await Promise.all(callers);
    assert.deepEqual([...faults], []);
    const rows = await eventually(() =>
      store.query<{ name: string }>('select name from workspaces where org = $1', [id]),
    );
    const kept = new Set(rows.map(({ name }) => name));
    assert.deepEqual(
      done.filter((name) => !kept.has(name)),
      [],
    );
    const state = await settled(id);
    const created = (await told(id)).filter((name) => name === 'workspace_created');
    assert.deepEqual([created.length, state.status], [kept.size, 'active']);
    assert.equal(await reasonOf(clients[0]!.getOrg({})), 'none');
  });
});
