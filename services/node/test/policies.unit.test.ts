/**
 * Goal: a node goes by the newest policies that the hub has told it, asks when there are newer ones and not more often, and
 * keeps them over restarts. Method: a hub that is a function of the test, a table in memory, a clock of the test.
 */

import assert from 'node:assert/strict';
import { OrgState } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';
import { silentLog as log } from '@fleetwire/testkit';
import { beforeEach, describe, it } from 'mocha';
import { OrgPolicies } from '../src/hub/policies.ts';
import { ORG } from './engine-fixture.ts';
import { limited, onlyTo, orgState } from './org-knowledge.ts';

describe('policies of the org at a node', () => {
  let kept: Map<string, string>;
  let asked: number[];
  let answer: () => OrgState | undefined;
  let nowMs: number;
  beforeEach(() => {
    kept = new Map();
    asked = [];
    nowMs = 0;
    answer = () => orgState(7, [onlyTo('alice', 'bob')]);
  });

  const open = () =>
    new OrgPolicies({
      org: ORG,
      meta: {
        meta: (key) => kept.get(key),
        setMeta: (key, value) => void kept.set(key, value),
      },
      turns: { run: async (work) => work() },
      door: {
        policies: async ({ version }) => {
          asked.push(version ?? 0);
          return { state: answer() };
        },
      },
      clock: { monotonicMs: () => nowMs },
      log,
    });
  const may = (policies: OrgPolicies, target: string) =>
    policies.access?.decide({ action: 'message', actor: 'alice', target }).allowed;

  it('are asked for at the first greeting, and then only when a heartbeat tells of newer ones', async () => {
    const policies = open();
    assert.equal(policies.access, undefined);
    await policies.greeted();
    assert.deepEqual([may(policies, 'bob'), may(policies, 'carol')], [true, false]);
    for (const version of [0, 6, 7]) await policies.told(version);
    await policies.greeted();
    assert.deepEqual(asked, [0]);
    answer = () => orgState(9, []);
    await policies.told(8);
    assert.deepEqual([asked, may(policies, 'carol')], [[0, 7], true]);
  });

  it('hold over restarts, also while the hub is away', async () => {
    await open().greeted();
    const again = open();
    assert.equal(may(again, 'carol'), false);
    await again.greeted();
    assert.deepEqual(asked, [0]);
  });

  it('are asked for by one call at a time, and after a failure not at once again', async () => {
    answer = () => {
      throw new FleetwireError('unavailable', 'AWAY', 'away');
    };
    const policies = open();
    await Promise.all([policies.greeted(), policies.greeted(), policies.told(7)]);
    assert.equal(asked.length, 1);
    await policies.told(7);
    assert.equal(asked.length, 1);
    answer = () => orgState(7, [limited('*', 5)]);
    nowMs = 61_000;
    await policies.told(7);
    assert.deepEqual([asked.length, policies.access?.version], [2, 7]);
  });

  it('of a hub that does not tell change nothing', async () => {
    answer = () => {
      throw new FleetwireError('unimplemented', 'NOT_HERE', 'what?');
    };
    const policies = open();
    await policies.greeted();
    await policies.told(0);
    assert.deepEqual([policies.access, asked.length], [undefined, 1]);
  });

  it('of another org, or older ones, are not taken', async () => {
    const policies = open();
    await policies.greeted();
    for (const wrong of [orgState(9, [], 'o_other'), orgState(6, [])]) {
      answer = () => wrong;
      nowMs += 61_000;
      await policies.told(8);
      assert.equal(may(policies, 'carol'), false);
    }
  });

  it('that cannot be read on the disk are asked for anew', async () => {
    for (const damaged of ['', '%%%', Buffer.from([255, 1, 2]).toString('base64')]) {
      kept.set('policies', damaged);
      const policies = open();
      await policies.greeted();
      assert.equal(may(policies, 'carol'), false, damaged);
    }
    assert.ok(OrgState.decode(Buffer.from(kept.get('policies')!, 'base64')).version > 0);
  });
});
