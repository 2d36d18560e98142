/**
 * Goal: a bucket compares before it sets, a watch misses nothing that lasts, a lease has one holder who knows when it
 * no longer is, and the clock is the broker's. Method: a real server, killed and restarted; short TTLs; a clock that is
 * an hour off.
 */

import assert from 'node:assert/strict';
import type { Bucket } from '@fleetwire/broker';
import { claimLease } from '@fleetwire/broker';
import type { BucketSpec } from '@fleetwire/contract';
import { LEASES_BUCKET, ROUTES_BUCKET } from '@fleetwire/contract';
import { systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { MeasuredClock } from '../src/clock.ts';
import type { Link } from '../src/link.ts';
import { startRig } from './rig.ts';

const bytes = (text: string) => Buffer.from(text);
const TABLE: BucketSpec = { ...ROUTES_BUCKET, max_bytes: 64 * 1024 * 1024 };

describe('bucket', () => {
  it('gets, puts, creates, updates, deletes by revision', async () => {
    await using rig = await startRig();
    await assert.rejects(rig.broker.bucket(TABLE), { reason: 'BUCKET_MISSING' });
    await rig.broker.ensureBucket(TABLE, 1);
    await rig.broker.ensureBucket(TABLE, 1);
    const bucket = await rig.broker.bucket(TABLE);
    assert.equal(await bucket.get('o.a'), undefined);
    const first = await bucket.create('o.a', bytes('1'));
    await assert.rejects(bucket.create('o.a', bytes('2')), { reason: 'KEY_EXISTS' });
    await assert.rejects(bucket.update('o.a', bytes('2'), first + 1), { reason: 'REVISION_CONFLICT' });
    const second = await bucket.update('o.a', bytes('2'), first);
    assert.deepEqual((await bucket.get('o.a'))?.value, bytes('2'));
    assert.equal((await bucket.get('o.a'))?.revision, second);
    await assert.rejects(bucket.delete('o.a', first), { reason: 'REVISION_CONFLICT' });
    await bucket.delete('o.a', second);
    assert.equal(await bucket.get('o.a'), undefined);
    assert.ok((await bucket.create('o.a', bytes('3'))) > second);
    await bucket.put('p.b', bytes('4'));
    assert.deepEqual((await bucket.keys()).toSorted(), ['o.a', 'p.b']);
    assert.deepEqual(await bucket.keys('p.>'), ['p.b']);
    await bucket.delete('p.b');
    assert.deepEqual(await bucket.keys(), ['o.a']);
    await assert.rejects(async () => bucket.put('a b', bytes('')), { reason: 'INVALID_KEY' });
  });

  it('reports what differs', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(TABLE, 1);
    await assert.rejects(rig.broker.ensureBucket({ ...TABLE, history: 2 }, 1), {
      reason: 'BUCKET_DRIFT',
      message: 'bucket fw-routes: max_msgs_per_subject should be 2, is 1',
    });
  });
});

interface Mirror {
  readonly values: Map<string, string>;
  readonly told: string[];
  initialized: number;
}

async function mirror(bucket: Bucket): Promise<Mirror> {
  const m: Mirror = { values: new Map(), told: [], initialized: 0 };
  await bucket.watch(
    ({ key, value }) => {
      m.told.push(value === undefined ? `-${key}` : `${key}=${Buffer.from(value).toString()}`);
      if (value === undefined) m.values.delete(key);
      else m.values.set(key, Buffer.from(value).toString());
    },
    () => {
      m.initialized++;
    },
  );
  return m;
}

describe('watch', () => {
  it('tells what is there, then every change', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(TABLE, 1);
    const bucket = await rig.broker.bucket(TABLE);
    const empty = await mirror(bucket);
    await eventually(() => empty.initialized === 1);
    for (let i = 0; i < 2500; i++) void bucket.put(`k.${i}`, bytes(String(i)));
    await bucket.put('last', bytes('x'));
    await eventually(() => empty.values.size === 2501);
    await bucket.delete('last');
    await eventually(() => !empty.values.has('last'));
    const late = await mirror(bucket);
    await eventually(() => late.initialized === 1);
    assert.deepEqual(late.values, empty.values);
    assert.equal(late.told.length, 2500);
  });

  it('comes to where the bucket is, also where the newest was purged', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(TABLE, 1);
    const bucket = await rig.broker.bucket(TABLE);
    const empty = await bucket.position();
    const first = await bucket.put('stays', bytes('1'));
    await bucket.delete('goes', await bucket.put('goes', bytes('1')));
    const last = (await bucket.position()) - empty;
    assert.ok(last > first + 1, 'a removal counts');
    await bucket.purge('goes', last);
    const watch = await bucket.watch(() => undefined);
    const wanted = await bucket.position();
    await eventually(() => watch.position === wanted);
    watch.stop();
  });

  it('of a bucket that was made anew tells all, also at the revisions of before, and is behind until then', async () => {
    await using rig = await startRig();
    const { broker } = rig;
    await broker.ensureBucket(TABLE, 1);
    const bucket = await broker.bucket(TABLE);
    await bucket.put('gone', bytes('1'));
    await bucket.put('same', bytes('1'));
    const told: string[] = [];
    const watch = await bucket.watch(({ key, value, position }) => {
      told.push(`${key}=${value && Buffer.from(value).toString()}`);
      assert.ok(value === undefined || position > before, 'positions grow');
    });
    let before = 0;
    await eventually(async () => watch.position === (await bucket.position()));
    before = watch.position;
    await broker.request(`$JS.API.STREAM.DELETE.KV_${TABLE.name}`, new Uint8Array(), 5000);
    await broker.ensureBucket(TABLE, 1);
    assert.ok((await bucket.position()) > before, 'also of an empty one');
    await bucket.put('other', bytes('1'));
    assert.equal(await bucket.put('same', bytes('2')), 2, 'at the revision that it had');
    await eventually(async () => watch.position === (await bucket.position()));
    assert.deepEqual(told.toSorted(), ['gone=1', 'gone=undefined', 'other=1', 'same=1', 'same=2']);
    watch.stop();
  });

  it('catches up after a restart: news, changes and deletions, and nothing twice', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(TABLE, 1);
    const bucket = await rig.broker.bucket(TABLE);
    await bucket.put('same', bytes('1'));
    await bucket.put('changed', bytes('1'));
    await bucket.put('removed', bytes('1'));
    const m = await mirror(bucket);
    await eventually(() => m.initialized === 1);
    m.told.length = 0;
    await rig.nats.kill();
    await rig.nats.restart();
    const other = await (await rig.connect()).bucket(TABLE);
    await other.put('changed', bytes('2'));
    await other.delete('removed');
    await other.put('new', bytes('1'));
    await eventually(() => m.told.length >= 3);
    assert.deepEqual(m.told.toSorted(), ['-removed', 'changed=2', 'new=1']);
    assert.equal(m.initialized, 1);
    await other.put('later', bytes('1'));
    await eventually(() => m.values.has('later'));
  });

  it('tells of what lapsed unseen when it reads again', async () => {
    await using rig = await startRig();
    const spec = { ...LEASES_BUCKET, ttl_ms: 2000 };
    await rig.broker.ensureBucket(spec, 1);
    const bucket = await rig.broker.bucket(spec);
    await bucket.put('short', bytes('1'));
    const m = await mirror(bucket);
    await eventually(() => m.initialized === 1);
    await rig.nats.kill();
    await eventually(() => !rig.broker.connected());
    await new Promise((resolve) => setTimeout(resolve, 2100)); // longer than the TTL
    await rig.nats.restart();
    await eventually(() => m.told.includes('-short'));
  });

  it('ends its first reading though entries lapse meanwhile', async () => {
    await using rig = await startRig();
    const spec = { ...LEASES_BUCKET, ttl_ms: 2000 };
    await rig.broker.ensureBucket(spec, 1);
    const bucket = await rig.broker.bucket(spec);
    // More than is asked for at once, and nothing more is asked for while this process stands still.
    await Promise.all(Array.from({ length: 4000 }, (_, i) => bucket.put(`k${i}`, bytes('1'))));
    let told = 0;
    let initialized = false;
    const onEntry = () => {
      if (told++ === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    };
    await bucket.watch(onEntry, () => {
      initialized = true;
    });
    await eventually(() => initialized);
    assert.ok(told < 4000, `${told}: all were told before they lapsed`);
  });

  it('can be stopped', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(TABLE, 1);
    const bucket = await rig.broker.bucket(TABLE);
    let told = 0;
    const watch = await bucket.watch(() => told++);
    watch.stop();
    await bucket.put('k', bytes('1'));
    await eventually(async () => (await rig.broker.consumers.list('KV_fw-routes' as never)).length === 0);
    assert.equal(told, 0);
  });
});

const SHORT: BucketSpec = { ...LEASES_BUCKET, ttl_ms: 3000 };

describe('lease', () => {
  it('has one holder, who keeps it by renewing; epochs grow', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(SHORT, 1);
    const bucket = await rig.broker.bucket(SHORT);
    const [one, two] = [claimLease(bucket, 'one'), claimLease(bucket, 'two')];
    const held = (await one.acquire('job'))!;
    assert.ok(held.valid());
    const until = performance.now() + 1.5 * SHORT.ttl_ms;
    while (performance.now() < until) {
      assert.equal(await two.acquire('job'), undefined);
      assert.ok(held.valid());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(await two.holderOf('job'), 'one');
    await held.release();
    assert.equal(held.valid(), false);
    assert.equal(held.lost.aborted, true);
    const next = await two.acquire('job');
    assert.ok(next!.epoch > held.epoch);
    await next!.release();
    assert.deepEqual(await bucket.keys(), []);
  });

  it('passes on when the holder no longer renews, who has fenced itself before', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(SHORT, 1);
    const holder = await rig.connect();
    const held = (await claimLease(await holder.bucket(SHORT), 'one').acquire('job'))!;
    let lostAt = 0;
    held.lost.addEventListener('abort', () => {
      lostAt = performance.now();
    });
    await holder.close();
    const others = claimLease(await rig.broker.bucket(SHORT), 'two');
    const taken = await eventually(() => others.acquire('job'), { everyMs: 5 });
    const takenAt = performance.now();
    assert.ok(lostAt > 0 && lostAt < takenAt);
    assert.equal(held.valid(), false);
    assert.ok(taken.epoch > held.epoch);
  });

  it('is lost at once when somebody else has written it', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(SHORT, 1);
    const bucket = await rig.broker.bucket(SHORT);
    const held = (await claimLease(bucket, 'one').acquire('job'))!;
    await bucket.put('job', bytes('{"holder":"two","nonce":"x"}'));
    await eventually(() => held.lost.aborted);
  });

  it('outlives a short absence of the broker', async () => {
    await using rig = await startRig();
    const spec = { ...SHORT, ttl_ms: 6000 };
    await rig.broker.ensureBucket(spec, 1);
    const held = (await claimLease(await rig.broker.bucket(spec), 'one').acquire('job'))!;
    await rig.nats.kill();
    await rig.nats.restart();
    await new Promise((resolve) => setTimeout(resolve, 6500)); // longer than the TTL
    assert.ok(held.valid());
    await held.release();
  });

  it('cannot be longer than what the bucket keeps', async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(SHORT, 1);
    const bucket = await rig.broker.bucket(SHORT);
    assert.throws(() => claimLease(bucket, 'x', { ttlMs: SHORT.ttl_ms + 1 }), { reason: 'INVALID_LEASE' });
  });
});

describe('broker clock', () => {
  it("is the broker's, however wrong ours is", async () => {
    await using rig = await startRig();
    await rig.broker.ensureBucket(LEASES_BUCKET, 1);
    await rig.broker.clock.measure();
    assert.ok(Math.abs(rig.broker.clock.nowUs() - Date.now() * 1000) < 50_000);
    const hour = 3_600_000_000;
    const wrong = { ...systemClock, nowUs: () => systemClock.nowUs() + hour };
    const link = { onUp: () => undefined, onClosed: () => undefined } as unknown as Link;
    const clock = new MeasuredClock(link, () => rig.broker.bucket(LEASES_BUCKET), wrong);
    await clock.measure();
    assert.ok(Math.abs(clock.offsetUs + hour) < 50_000);
    assert.ok(Math.abs(clock.nowUs() - systemClock.nowUs()) < 50_000);
    clock.set(5);
    assert.equal(clock.offsetUs, 5);
  });
});
