// Goal: where another machine of the org has a node called hub, `up` gets one by another name, and never tries for ever.
// Method: a registry made up by the test, which knows names that are taken.

import { strict as assert } from 'node:assert';
import { FleetwireError, isName } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { firstFreeName } from '../src/fabric/hub-node.ts';
import { hostName } from '../src/host-name.ts';

const taken = (suggestion?: string) =>
  new FleetwireError('already_exists', 'NODE_NAME_TAKEN', 'taken', {
    details: suggestion === undefined ? {} : { suggestion },
  });

describe("the name of the hub's own node", () => {
  const names = async (refusals: FleetwireError[]) => {
    const tried: string[] = [];
    const { name } = await firstFreeName('hub', 'hub-attic', async (each) => {
      tried.push(each);
      const refused = refusals[tried.length - 1];
      if (refused !== undefined) throw refused;
    });
    return [name, tried] as const;
  };
  const reason = (expected: string) => (error: unknown) => (error as FleetwireError).reason === expected;

  it('is hub, else with the host, else what the registry suggests', async () => {
    assert.deepEqual(await names([]), ['hub', ['hub']]);
    assert.deepEqual(await names([taken('hub-2')]), ['hub-attic', ['hub', 'hub-attic']]);
    assert.deepEqual((await names([taken(), taken('hub-3')]))[0], 'hub-3');
  });
  it('is given up on where nothing is suggested, too much was tried, or another thing is wrong', async () => {
    await assert.rejects(names([taken(), taken()]), reason('NODE_NAME_TAKEN'));
    await assert.rejects(names(Array.from({ length: 9 }, () => taken('hub'))), reason('NODE_NAME_TAKEN'));
    const full = new FleetwireError('resource_exhausted', 'NODE_LIMIT', 'full');
    await assert.rejects(names([full]), reason('NODE_LIMIT'));
  });
  it('is a name, whatever the host is called', () => {
    assert.ok(isName(hostName()) && isName(hostName('hub-')));
  });
});
