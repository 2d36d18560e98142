/** Goal: what a node says of its machine is right, bounded and said when it changes. Method: folders made for the test. */

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { intervalMs } from '../src/hub/heartbeat.ts';
import { loadOf, MachineFacts } from '../src/hub/machine-facts.ts';
import { machineDigest } from '../src/hub/machine-id.ts';
import { Pulse } from '../src/hub/pulse.ts';

describe('digest of the machine', () => {
  it('is the same for the same folder, and another for a copy, another place and another machine', async () => {
    await using folder = tempFolder('machine');
    const [first, copy, link, moved] = ['first', 'copy', 'link', 'moved'].map((n) => join(folder.path, n));
    mkdirSync(first!);
    const digest = machineDigest(first!);
    assert.equal(machineDigest(first!), digest);
    symlinkSync(first!, link!);
    assert.equal(machineDigest(link!), digest);
    cpSync(first!, copy!, { recursive: true });
    assert.notEqual(machineDigest(copy!), digest);
    assert.notEqual(machineDigest(first!, 'another machine'), digest);
    renameSync(first!, moved!);
    assert.notEqual(machineDigest(moved!), digest);
    // What stands where the folder stood is another folder.
    cpSync(moved!, first!, { recursive: true });
    assert.notEqual(machineDigest(first!), digest);
  });
});

describe('facts of the machine', () => {
  it('name the tools that can be run, once each, and change when one is installed', async () => {
    await using folder = tempFolder('tools');
    const [one, two] = ['one', 'two'].map((name) => join(folder.path, name));
    for (const dir of [one!, two!]) mkdirSync(dir);
    const put = (dir: string, name: string, mode = 0o755) => writeFileSync(join(dir, name), '', { mode });
    put(one!, 'git');
    put(two!, 'git');
    put(two!, 'make', 0o644);
    put(two!, 'other');
    let nowMs = 0;
    const searchPath = `${one}::${join(folder.path, 'none')}:${two}`;
    const tools = ['git', 'make', 'node'];
    const facts = new MachineFacts({ labels: ['gpu'], tools, searchPath, monotonicMs: () => nowMs });
    await facts.look();
    const found = facts.news()!;
    assert.deepEqual([found.tools, found.capabilities], [['git'], ['gpu']]);
    assert.ok(found.cpus > 0 && found.memoryBytes > 0);
    facts.told(found);
    assert.equal(facts.news(), undefined);
    put(one!, 'node');
    await facts.look();
    assert.equal(facts.news(), undefined, 'it does not look all the time');
    nowMs += 60_000;
    await facts.look();
    assert.deepEqual(facts.news()?.tools, ['git', 'node']);
  });

  it('are bounded', () => {
    const labels = Array.from({ length: 100 }, (_, i) => `l${i}`);
    const facts = new MachineFacts({ labels, tools: [], searchPath: '', monotonicMs: () => 0 });
    assert.equal(facts.current().capabilities.length, 32);
  });

  it('give the load of the machine or of the queues, whichever is more', () => {
    assert.equal(loadOf(0, 4, 0), 0);
    assert.equal(loadOf(1, 4, 0), 3);
    assert.equal(loadOf(1, 4, 0.9), 9);
    assert.equal(loadOf(40, 4, 0), 10);
    assert.equal(loadOf(Number.MIN_VALUE, 0, -1), 0);
  });
});

describe('heartbeats', () => {
  it('come as the hub asks, more often where the configuration does, and within the liveness', () => {
    assert.equal(intervalMs(0, undefined), 10_000);
    assert.equal(intervalMs(50, undefined), 50);
    assert.equal(intervalMs(0, { heartbeatMs: 3000, livenessMs: 25_000 }), 3000);
    assert.equal(intervalMs(50, { heartbeatMs: 3000, livenessMs: 25_000 }), 50);
    assert.equal(intervalMs(60_000, { heartbeatMs: 3000, livenessMs: 25_000 }), 3000);
    assert.equal(intervalMs(60_000, { heartbeatMs: 0, livenessMs: 0 }), 60_000);
    assert.equal(intervalMs(60_000, { heartbeatMs: 0, livenessMs: 25_000 }), 12_500);
  });

  it('are due at once when asked for, but only so often, and never after the end', async () => {
    const pulse = new Pulse(() => performance.now());
    const long = 600_000;
    const since = performance.now();
    pulse.nudge();
    await pulse.next(long);
    const due = pulse.next(long);
    for (let i = 0; i < 100; i++) pulse.nudge();
    await due;
    assert.ok(performance.now() - since > 90);
    const last = pulse.next(long);
    pulse.end();
    await last;
    await pulse.next(long);
  });
});
