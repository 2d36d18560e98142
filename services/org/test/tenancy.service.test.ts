// Goal: where the servers would not keep it apart there is no second org, however it would come to be, unless the operator
// says that all trust each other. Method: the record of bootstrap is set to what each kind of server leads to.

import { strict as assert } from 'node:assert';
import { PassThrough } from 'node:stream';
import { FABRIC_BUCKET, FABRIC_RECORD_KEY, ORGS_BUCKET } from '@fleetwire/contract';
import { ensureKeys } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';
import { readFabricRecord } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { start } from '../src/service.ts';
import { errorOf, type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';

const STRICT = { allow_unsafe_tenancy: false };

describe('tenancy', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  before(async () => {
    world = await startOrgWorld();
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** Undefined: as releases left it that did not look. */
  async function found(servers: { version?: string; acks_apart: boolean } | undefined): Promise<void> {
    const broker = await world.broker();
    const { servers: _, ...record } = await readFabricRecord(broker);
    const said = servers && { version: broker.serverVersion, ...servers };
    const text = JSON.stringify(said === undefined ? record : { ...record, servers: said });
    await (await broker.bucket(FABRIC_BUCKET)).put(FABRIC_RECORD_KEY, Buffer.from(text));
  }

  it('lets the first org be on every server, and refuses a second one where they are not kept apart', async () => {
    for (const servers of [{ acks_apart: false }, { acks_apart: true, version: '2.9.0' }, undefined]) {
      await found(servers);
      const strict = await world.start(STRICT);
      const owner = await world.owner(strict);
      const operator = await world.operator(strict);
      const error = (await errorOf(owner.client.createOrg({ name: 'second' })))!;
      assert.deepEqual([error.kind, error.reason], ['failed_precondition', 'NATS_TENANCY_UNSAFE']);
      assert.match(error.help!, /FLEETWIRE_ORG_ALLOW_UNSAFE_TENANCY/);
      const asked = operator.createOrg({ name: 'second', ownerEmail: 'x@second.test' });
      assert.equal(await reasonOf(asked), 'NATS_TENANCY_UNSAFE');
      assert.equal((await operator.listOrgs({})).orgs.length, 1);
      await strict.stop();
    }
  });

  it('refuses one that the keys folder names, and starts where it is there already', async () => {
    await found({ acks_apart: false });
    await ensureKeys(world.keysDir, { orgSlug: 'other', services: ['org'] });
    const starting = world.start(STRICT).catch((error: unknown) => error);
    assert.equal(((await starting) as FleetwireError).reason, 'NATS_TENANCY_UNSAFE');
    await (await world.start()).stop();
    const strict = await world.start(STRICT);
    assert.equal((await (await world.operator(strict)).listOrgs({})).orgs.length, 2);
    await strict.stop();
  });

  it('warns at each start of a fabric that has several', async () => {
    const lines = async (id: string) => {
      const logStream = new PassThrough();
      let said = '';
      logStream.on('data', (chunk) => {
        said += chunk;
      });
      const common = { log_level: 'warn', instance: id } as const;
      const overrides = { ...world.overrides, common, org: STRICT };
      await (await start({ env: {}, overrides, logStream })).stop();
      return said.split('\n').filter((line) => line.includes('acknowledgements'));
    };
    const ids = world.trust.orgs.map((org) => org.id);
    await eventually(async () => (await world.published(ids[0]!)) !== undefined);
    const running = await world.start();
    await eventually(async () => {
      const bucket = await (await world.broker()).bucket(ORGS_BUCKET);
      return (await bucket.keys()).length === 2;
    });
    await running.stop();
    assert.equal((await lines('warned')).length, 1);
    await found({ acks_apart: true });
    assert.equal((await lines('silent')).length, 0);
  });

  it('lets there be more where they are kept apart, or are said to trust each other', async () => {
    for (const [apart, settings] of [
      [true, STRICT],
      [false, {}],
    ] as const) {
      await found({ acks_apart: apart });
      const service = await world.start(settings);
      const owner = await world.owner(service);
      assert.equal(await reasonOf(owner.client.createOrg({ name: `more ${apart}` })), 'none');
      await service.stop();
    }
  });
});
