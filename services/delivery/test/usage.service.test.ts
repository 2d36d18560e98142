/**
 * Goal: what an org used is counted once for each stored message, by the day of the broker's acceptance, and told.
 * Method: a real PostgreSQL with two stores as two replicas that write overlapping batches at once; then the service as
 * it runs, two replicas with a real nats-server, and the events that leave, over a restart.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject, filters } from '@fleetwire/contract';
import { Event, type Usage } from '@fleetwire/gen/event';
import { Envelope } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import { newId, newMessageId } from '@fleetwire/kernel';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import { openStore, type Store } from '@fleetwire/store';
import {
  eventually,
  startTestNats,
  startTestPostgres,
  type TestPostgres,
  tempFolder,
} from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { reportUsage } from '../src/handlers/usage-report.ts';
import { start } from '../src/service.ts';
import { entities } from '../src/store/entities.ts';
import { type MessageRow, saveMessages } from '../src/store/message-table.ts';
import { migrations } from '../src/store/migrations.ts';
import { deleteUsageBefore, type UsageDay, untoldUsage, usageTold } from '../src/store/usage-table.ts';
import * as sample from './sample-traffic.ts';

const DAY_US = 86_400_000_000;
/** 2026-09-21T00:00:00Z */
const MIDNIGHT_US = 1_789_948_800_000_000;

function message(org: string, ingressAtUs: number, bytes = 100): MessageRow {
  const about = { fromAgent: 'a', to: 'b', correlationId: 'c', acceptedAtUs: 1 };
  const rest = { deadlineUs: 2, leftOutBytes: -1, usedBytes: bytes, searched: true };
  return { org, id: newMessageId(), ingressAtUs, envelope: new Uint8Array(bytes), ...about, ...rest };
}

describe('usage as the database counts it', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  let replica: Store;

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 3 };
    store = await openStore({ ...options, applicationName: 'one' });
    replica = await openStore({ ...options, applicationName: 'two' });
  });
  after(async () => {
    await replica.close();
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  const usageOf = (org: string) =>
    store.query<Omit<UsageDay, 'org'>>(
      'select day::text, messages, bytes from usage_days where org = $1 order by day',
      [org],
    );

  it('goes by the day at which the broker accepted, in UTC', async () => {
    const org = newId('org');
    const moments = [MIDNIGHT_US - 1, MIDNIGHT_US, MIDNIGHT_US + DAY_US - 1];
    await saveMessages(
      store,
      moments.map((at, i) => message(org, at, 10 ** i)),
    );
    assert.deepEqual(await usageOf(org), [
      { day: '2026-09-20', messages: 1, bytes: 1 },
      { day: '2026-09-21', messages: 2, bytes: 110 },
    ]);
  });

  it('counts a message once, however often and with whatever else it comes', async () => {
    const org = newId('org');
    const [first, second, third] = [1, 2, 3].map((n) => message(org, MIDNIGHT_US, n)) as [
      MessageRow,
      MessageRow,
      MessageRow,
    ];
    await saveMessages(store, [first]);
    await saveMessages(store, [first]);
    await saveMessages(store, [first, second]);
    await saveMessages(replica, [third, second, first]);
    assert.deepEqual(await usageOf(org), [{ day: '2026-09-21', messages: 3, bytes: 6 }]);
  });

  it('is exact when two replicas write overlapping batches of several orgs and days at once', async () => {
    const orgs = [newId('org'), newId('org'), newId('org')];
    const rows = Array.from({ length: 600 }, (_, i) =>
      message(orgs[i % 3]!, MIDNIGHT_US + (i % 2) * DAY_US, 1 + (i % 7)),
    ).sort((a, b) => (a.id < b.id ? -1 : 1));
    const write = async (to: Store, size: number) => {
      for (let i = 0; i < rows.length; i += size) await saveMessages(to, rows.slice(i, i + size + 5));
    };
    await Promise.all([write(store, 20), write(replica, 35), write(store, 50), write(replica, 11)]);
    for (const org of orgs) {
      const mine = rows.filter((row) => row.org === org);
      const expected = [0, 1].map((offset) => {
        const those = mine.filter((row) => row.ingressAtUs === MIDNIGHT_US + offset * DAY_US);
        const bytes = those.reduce((sum, row) => sum + row.usedBytes, 0);
        return { day: `2026-09-${21 + offset}`, messages: those.length, bytes };
      });
      assert.deepEqual(await usageOf(org), expected);
    }
  });

  it('has nothing of a batch that was not written', async () => {
    const org = newId('org');
    const row = message(org, MIDNIGHT_US);
    await assert.rejects(saveMessages(store, [row, { ...row, id: newMessageId(), org: 'a\0b' }]));
    assert.deepEqual(await usageOf(org), []);
  });

  it('is told until it is noted, and its day is deleted only then', async () => {
    await usageTold(store, await untoldUsage(store, 1000));
    const org = newId('org');
    await saveMessages(store, [message(org, MIDNIGHT_US)]);
    const told: Usage[] = [];
    let refusing = true;
    const parts = {
      store,
      clock: { nowUs: () => MIDNIGHT_US, monotonicMs: () => 0 },
      publish: (async (_subject, payload) => {
        if (refusing) throw new Error('away');
        told.push(Event.decode(payload).usage!);
        return { sequence: 1, duplicate: false };
      }) as Broker['store'],
    };
    await assert.rejects(reportUsage(parts, () => true));
    await deleteUsageBefore(store, MIDNIGHT_US + 9 * DAY_US, 100);
    refusing = false;
    assert.equal(await reportUsage(parts, () => true), 1);
    assert.equal(await reportUsage(parts, () => true), 0);
    await saveMessages(store, [message(org, MIDNIGHT_US)]);
    assert.equal(await reportUsage(parts, () => true), 1);
    const day = { day: '2026-09-21', agents: 0, nodes: 0 };
    assert.deepEqual(told, [
      { ...day, messages: 1, bytes: 100 },
      { ...day, messages: 2, bytes: 200 },
    ]);
    await deleteUsageBefore(store, MIDNIGHT_US, 100);
    assert.equal((await usageOf(org)).length, 1);
    await deleteUsageBefore(store, MIDNIGHT_US + DAY_US, 100);
    assert.deepEqual(await usageOf(org), []);
  });
});

describe('usage as delivery tells it', function () {
  this.timeout(60_000);
  const stack = new AsyncDisposableStack();
  after(() => stack.disposeAsync());

  it('is the total of all replicas, repeats left out, and goes on over a restart', async () => {
    const nats = stack.use(await startTestNats());
    const postgres = stack.use(await startTestPostgres());
    const broker = await connectBroker({ urls: [nats.url], name: 'test', waitMs: 5000 });
    stack.defer(() => broker.close());
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1 });
    await broker.consumers.remove('INGRESS', 'router-p0-e0');
    const keysDir = stack.use(tempFolder('keys')).path;
    await ensureKeys(keysDir, { services: ['org', 'registry', 'router', 'delivery'] });
    const run = async (instance: string): Promise<RunningService> => {
      const overrides = {
        common: { instance, log_level: 'silent' as const },
        nats: { url: nats.url, single_tenant: true },
        database: { url: postgres.url, pool_max: 4 },
        keys: { dir: keysDir },
        delivery: { sweep_interval_ms: 50, usage_interval_ms: 50, flush_ms: 20 },
      };
      const service = await start({ env: {}, overrides });
      stack.defer(() => service.stop());
      return service;
    };
    const heard: Event[] = [];
    const subjects = new Set<string>();
    broker.subscribe(filters.eventsNamed(EVENT_NAMES.usage), (m) => {
      subjects.add(m.subject);
      heard.push(Event.decode(m.data));
    });
    const total = (): [number, number] => {
      const days = new Map(heard.map(({ usage }) => [usage!.day, usage!]));
      const sum = (pick: (usage: Usage) => number) =>
        [...days.values()].reduce((all, usage) => all + pick(usage), 0);
      return [sum((usage) => usage.messages), sum((usage) => usage.bytes)];
    };
    const messages = Array.from({ length: 40 }, () => sample.envelope());
    const bytes = (count: number) =>
      messages.slice(0, count).reduce((sum, m) => sum + Envelope.encode(m).finish().length, 0);
    let published = 0;
    const put = (from: number, to: number) => {
      const payload = sample.ingressPack(messages.slice(from, to));
      return broker.store(sample.INGRESS_SUBJECT, payload, { msgId: `test-${published++}` });
    };

    const services = [await run('one'), await run('two')];
    for (const [from, to] of [
      [0, 10],
      [5, 20],
      [0, 30],
    ] as const)
      await put(from, to);
    await eventually(() => isDeepStrictEqual(total(), [30, bytes(30)]));
    for (const service of services) await service.stop();
    await run('three');
    await put(20, 40);
    await eventually(() => isDeepStrictEqual(total(), [40, bytes(40)]));
    const ids = heard.map((event) => event.id);
    assert.equal(new Set(ids).size, ids.length, 'what was told is not told again');
    const { ORG: org } = sample;
    assert.deepEqual(
      [...subjects],
      [eventSubject.build({ org, service: 'delivery', name: EVENT_NAMES.usage })],
    );
  });
});
