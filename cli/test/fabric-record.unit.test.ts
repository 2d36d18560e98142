// Goal: ports stay what they were; a record of an earlier release gets those that it lacks, a broken one is refused.
// Method: real files in a temporary folder.

import { strict as assert } from 'node:assert';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FleetwireError } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { choosePorts, readFabric } from '../src/fabric/fabric-record.ts';

const BEFORE = { nats: 1, postgres: 2, org: 3, registry: 4, router: 5, delivery: 6, hub: 7 };

async function recorded(ports: object) {
  await using folder = tempFolder('record');
  mkdirSync(join(folder.path, 'fabric'));
  writeFileSync(join(folder.path, 'fabric', 'fabric.json'), JSON.stringify({ ports }));
  return await readFabric(folder.path);
}

describe('ports of a fabric', () => {
  it('are all different when they are new', async () => {
    const ports = Object.values(await choosePorts());
    assert.equal(new Set(ports).size, ports.length);
    assert.ok(ports.every((port) => port > 0 && port < 65_536));
  });
  it('stay, and one that a record of before lacks is added', async () => {
    const { web, ...others } = await choosePorts((await recorded(BEFORE))!.ports);
    assert.deepEqual(others, BEFORE);
    assert.ok(web > 0);
    assert.deepEqual(await choosePorts((await recorded({ ...BEFORE, web: 8 }))!.ports), {
      ...BEFORE,
      web: 8,
    });
  });
  it('are refused when they are none', async () => {
    const unreadable = (error: FleetwireError) => error.reason === 'FABRIC_RECORD_UNREADABLE';
    const { hub: _, ...without } = BEFORE;
    for (const ports of [{ ...BEFORE, web: 0 }, { ...BEFORE, web: 'x' }, without, {}])
      await assert.rejects(recorded(ports), unreadable, JSON.stringify(ports));
  });
});
