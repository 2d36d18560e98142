/** Goal: an agent that was registered while its workspace was being suspended is marked too. Method: rows in memory. */

import assert from 'node:assert/strict';
import { OrgAccess } from '@fleetwire/access';
import { OrgState } from '@fleetwire/gen/access';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { Suspensions } from '../src/handlers/suspensions.ts';

describe('suspended workspaces', () => {
  it('mark also those that are registered a moment later', async () => {
    const assignment = { agent: 'late', workspace: 'w_1', suspended: true, user: '', repo: '' };
    const access = new OrgAccess(OrgState.fromPartial({ org: 'o_1', assignments: [assignment] }), 10);
    let settled = 0;
    const suspensions = new Suspensions({
      orgs: { get: () => access, all: () => [access], onChange: () => () => undefined } as never,
      sweeps: {
        orgsWithSuspended: async () => [],
        suspend: async (_org, folded) => {
          assert.deepEqual(folded, ['late']);
          settled++;
          return [];
        },
      },
      agents: { byIds: async () => [] },
      routes: { ensureMany: async () => undefined },
      log: { warn: () => undefined, info: () => undefined } as never,
    });
    suspensions.start();
    await eventually(() => settled === 1);
    suspensions.registered('o_1', ['other', 'late']);
    await eventually(() => settled === 2);
    suspensions.registered('o_1', ['other']);
    await suspensions.stop();
    assert.equal(settled, 2);
  });
});
