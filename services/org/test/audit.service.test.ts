/**
 * Goal: the audit says who did what and what was refused, once and for good, for as long as it is to be kept. Method: the
 * real service on real servers, statements past it, and another service that tells of denials.
 */

import assert from 'node:assert/strict';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { newId, systemClock } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { sweep } from '../src/upkeep/sweep.ts';
import { type Client, errorOf, type OrgWorld, startOrgWorld } from './fixture.ts';

const DAY_MS = 24 * 3_600_000;
/** Long ago, but not so long that it may be forgotten. */
const THEN = Date.now() - DAY_MS;

describe('the audit', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let store: Store;
  before(async () => {
    world = await startOrgWorld();
    [one] = await Promise.all([world.start(), world.start()]);
    store = await world.store();
  });
  after(() => world?.[Symbol.asyncDispose]());

  const fresh = async (name: string) => {
    const { id, owner } = await world.otherOrg(one, name);
    return { id, boss: owner };
  };
  /** Entries past the service, a millisecond apart from `fromMs`. */
  const insert = (org: string, count: number, fromMs: number) =>
    store.query(
      `insert into audit (org, at_ms, actor_kind, actor, action, target, decision, reason, peer, details)
       select $1, $3::bigint + i, 'user', 'u', 'test.entry', i::text, 'allowed', '', '', '{}' from generate_series(1, $2) i`,
      [org, count, fromMs],
    );
  const exported = async (client: Client, request: Parameters<Client['exportAudit']>[0]) => {
    const batches = [];
    for await (const { entries } of client.exportAudit(request)) batches.push(entries);
    return batches;
  };

  it('says who did what, to what, when and from where', async () => {
    const before = Date.now();
    const { id, boss } = await fresh('who');
    const { workspace } = await boss.client.createWorkspace({ name: 'w' });
    await errorOf(boss.client.getOrg({ org: newId('org') }));
    const { entries } = await boss.client.listAudit({});
    const seen = entries.map(({ action, actorKind, actor, target, decision, reason }) =>
      [action, actorKind, actor, target, decision, reason].join(' '),
    );
    assert.deepEqual(seen, [
      `org.read user ${boss.user}  denied ORG_UNKNOWN`,
      `workspace.create user ${boss.user} ${workspace!.id} allowed `,
      `org.create operator operator ${id} allowed `,
    ]);
    for (const { atMs, peer } of entries) {
      assert.ok(
        atMs >= before - 1000 && atMs <= Date.now() + 1000,
        'the time of the broker, which is this machine',
      );
      assert.match(peer, /127\.0\.0\.1|::1/);
    }
  });

  it('is filtered by actor, action, target, decision and time', async () => {
    const { id, boss } = await fresh('filters');
    const bob = await world.join(one, boss.client, 'bob@filters.test');
    const { workspace } = await bob.client.createWorkspace({ name: 'w' });
    await bob.client.deleteWorkspace({ id: workspace!.id });
    await errorOf(bob.client.createInvite({}));
    await insert(id, 3, THEN);
    const find = async (filter: NonNullable<Parameters<Client['listAudit']>[0]['filter']>) => {
      const listed = (await boss.client.listAudit({ filter })).entries.map(({ action }) => action);
      const streamed = (await exported(boss.client, { filter })).flat().map(({ action }) => action);
      assert.deepEqual(streamed.reverse(), listed);
      return listed;
    };
    const [made, gone] = ['workspace.create', 'workspace.delete'];
    assert.deepEqual(await find({ actor: bob.user }), ['invite.create', gone, made, 'invite.accept']);
    assert.deepEqual(await find({ action: 'workspace' }), [gone, made]);
    assert.deepEqual(await find({ action: 'workspace.c', actor: bob.user }), [made]);
    assert.deepEqual(await find({ target: workspace!.id }), [gone, made]);
    assert.deepEqual(await find({ decision: 'denied' }), ['invite.create']);
    assert.equal((await find({ fromMs: THEN + 2, untilMs: THEN + 3 })).length, 1);
    assert.equal((await find({ untilMs: THEN + 3 })).length, 2);
    assert.deepEqual(await find({ fromMs: Number.MAX_SAFE_INTEGER }), []);
    assert.deepEqual(await find({ actor: boss.user, decision: 'denied' }), []);
  });

  it('is paged from the newest, undisturbed by what is written meanwhile', async () => {
    const { id, boss } = await fresh('pages');
    await insert(id, 25, THEN);
    const targets: string[] = [];
    const filter = { action: 'test.entry' };
    for (let pageToken = ''; ; ) {
      const { entries, nextPageToken } = await boss.client.listAudit({ pageSize: 10, pageToken, filter });
      targets.push(...entries.map(({ target }) => target));
      await insert(id, 5, THEN);
      if (nextPageToken === '') break;
      pageToken = nextPageToken;
    }
    assert.deepEqual(
      targets,
      Array.from({ length: 25 }, (_, i) => String(25 - i)),
    );
  });

  it('is exported as a stream of batches, oldest first, of the own org only', async () => {
    const { id, boss } = await fresh('export');
    const other = await fresh('export-other');
    await insert(id, 1203, THEN);
    await insert(other.id, 10, THEN);
    const batches = await exported(boss.client, { filter: { action: 'test' } });
    assert.ok(batches.length >= 3, `${batches.length} batches`);
    assert.deepEqual(
      batches.flat().map(({ target }) => Number(target)),
      Array.from({ length: 1203 }, (_, i) => i + 1),
    );
    // Whoever has enough goes, and nothing goes on for them.
    for await (const { entries } of boss.client.exportAudit({ filter: { action: 'test' } })) {
      assert.ok(entries.length < 1203);
      break;
    }
    assert.equal((await exported(boss.client, { filter: { action: 'nothing' } })).length, 0);
  });

  it('is not altered by anybody, and forgets only what is past its time', async () => {
    const { id, boss } = await fresh('append');
    await insert(id, 3, Date.now() - 40 * DAY_MS);
    await insert(id, 4, Date.now() - 20 * DAY_MS);
    const statements = [
      `update audit set reason = 'x' where org = '${id}'`,
      `delete from audit where org = '${id}'`,
      'truncate audit',
    ];
    for (const statement of statements) {
      const error = await errorOf(store.query(statement));
      assert.match(String(error?.message), /append-only/, statement);
    }
    const count = async () => (await exported(boss.client, { filter: { action: 'test' } })).flat().length;
    assert.equal(await count(), 7);
    assert.ok((await sweep(store, systemClock, 30)) >= 3);
    assert.equal(await count(), 4);
    assert.match(String((await errorOf(store.query(statements[1]!)))?.message), /append-only/);
  });

  it('has what other services refused, once, however often they tell', async () => {
    const { id: org, boss } = await fresh('told');
    const other = await fresh('told-other');
    const broker = await world.broker();
    const { denied: name } = EVENT_NAMES;
    const say = async (event: Event, from = event.service) => {
      const subject = eventSubject.build({ org, service: from, name });
      const copies = Array.from({ length: 4 }, () =>
        broker.store(subject, encode(Event, event), { msgId: newId('event') }),
      );
      await Promise.all(copies);
    };
    const denial = (target: string, by: Partial<Event> = {}) =>
      Event.fromPartial({
        id: newId('event'),
        org,
        service: 'router',
        name,
        atMs: THEN,
        actor: 'a_alice',
        target,
        details: {
          action: 'message',
          reason: 'MESSAGE_DENIED',
          policy: 'p_1',
          name: `'; drop table audit; --`,
        },
        ...by,
      });
    await say(denial('a_claimed', { org: other.id }));
    await say(denial('a_forged', { service: 'registry' }), 'router');
    const events = ['a_bob', 'a_carol', 'a_dave'].map((target) => denial(target));
    for (const event of events) await say(event);
    const found = async () => (await boss.client.listAudit({ filter: { actor: 'a_alice' } })).entries;
    await eventually(async () => (await found()).some(({ target }) => target === 'a_dave'));
    // The queue is worked off: what comes after has come. Two replicas share it, each in its own time.
    await say(denial('a_last'));
    const entries = await eventually(async () => {
      const all = await found();
      return all.some(({ target }) => target === 'a_last') && all.length >= 4 ? all : undefined;
    });
    assert.deepEqual(entries.map(({ target }) => target).sort(), ['a_bob', 'a_carol', 'a_dave', 'a_last']);
    const { entries: theirs } = await other.boss.client.listAudit({ filter: { actor: 'a_alice' } });
    assert.deepEqual(theirs, []);
    const bob = entries.find(({ target }) => target === 'a_bob')!;
    const { action, actorKind, decision, reason, atMs, peer, details } = bob;
    assert.deepEqual(
      [action, actorKind, decision, reason],
      ['message', 'service', 'denied', 'MESSAGE_DENIED'],
    );
    assert.deepEqual([atMs, peer], [THEN, 'router']);
    assert.deepEqual(details, { policy: 'p_1', name: `'; drop table audit; --`, event: events[0]!.id });
  });
});
