/**
 * Goal: whatever people do with their orgs, in whatever order and at whichever replica, each call ends as the rules say, an
 * org has one owner, nothing is left behind, and others are told and billed right. Method: random sequences of calls on two
 * replicas beside a model; the seed is printed, and ORG_PROPERTY_SEED repeats it.
 */

import assert from 'node:assert/strict';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import { type Client, errorOf } from './fixture.ts';
import { firstStage } from './model/first-stage.ts';
import type { Dice, Operation, Stage, Step } from './model/operation.ts';
import { checkAtRest, checkTables } from './model/org-invariants.ts';
import type { ModelOrg } from './model/org-model.ts';
import { PEOPLE } from './model/people-operations.ts';
import { WORK } from './model/work-operations.ts';
import { type SoldWorld, startSoldWorld } from './sold-world.ts';

const RUNS = 35;
const STEPS_MAX = 120;
/** Runs and shrinking end after it; on a slow machine there are fewer runs. */
const TIME_MS = 100_000;
const OPERATIONS: Readonly<Record<string, Operation>> = { ...PEOPLE, ...WORK };
/** Most often what others build on, seldom what ends everything. */
const WEIGHTS: Readonly<Record<string, number>> = {
  invite: 6,
  accept: 6,
  createWorkspace: 6,
  assign: 6,
  reassign: 4,
  removeMember: 3,
  changeRole: 4,
  createOrg: 1,
  deleteOrg: 1,
  createApiKey: 1,
  revokeApiKey: 1,
};

const ANY = { replica: 0, org: 0, who: 0, a: 0, b: 0 } as const;
/** What random runs come to seldom. */
const EXAMPLES: [Dice[]][] = [
  // The operator sells an org a plan, and its owner orders what it has already.
  [
    [
      { ...ANY, kind: 'changePlan', a: 4, b: 3 },
      { ...ANY, kind: 'changePlan', a: 4 },
    ],
  ],
];

const small = fc.nat({ max: 59 });
const dice: fc.Arbitrary<Dice> = fc.record({
  kind: fc.oneof(
    ...Object.keys(OPERATIONS).map((kind) => ({ weight: WEIGHTS[kind] ?? 2, arbitrary: fc.constant(kind) })),
  ),
  replica: fc.constantFrom<0 | 1>(0, 1),
  org: small,
  who: small,
  a: small,
  b: small,
});
/** Of any length alike: fast-check's own bias is towards short ones and small numbers, where little happens. */
const sequences = fc.noBias(fc.array(dice, { minLength: 1, maxLength: STEPS_MAX, size: 'max' }));

describe('orgs under random operations', function () {
  this.timeout(TIME_MS + 60_000);
  let sold: SoldWorld;
  /** Versions of each published state, in the order in which they came. */
  const versions = new Map<string, number[]>();
  const seen = { runs: 0, done: 0, refused: new Map<string, number>() };

  before(async () => {
    sold = await startSoldWorld();
    const bucket = await (await sold.world.broker()).bucket(ORGS_BUCKET);
    const onEntry = ({ key, value }: { key: string; value: Uint8Array | undefined }) => {
      if (value === undefined) return;
      versions.set(key, [...(versions.get(key) ?? []), OrgState.decode(value).version]);
    };
    await bucket.watch(onEntry, () => undefined);
  });
  after(() => sold?.[Symbol.asyncDispose]());

  /** The client of the step; or nothing, when the key was refused as the model says it is. */
  const clientOf = async ({ by }: Step, replica: 0 | 1): Promise<Client | undefined> => {
    if (!('key' in by)) return by as Client;
    const { org, key } = by as { org: ModelOrg; key: ModelOrg['keys'][number] };
    const anyone = sold.world.client(sold.replicas[replica]);
    const refused = org.exchangeRefusal(key);
    const exchange = anyone.exchangeKey({ apiKey: key.secret });
    const error = await errorOf(exchange);
    anyone.close();
    assert.equal(error?.reason, refused, `exchange of ${key.id}`);
    if (refused !== undefined) return undefined;
    const { token, scopes } = await exchange;
    assert.deepEqual([...scopes].sort(), org.scopesOf(key).sort(), `scopes of ${key.id}`);
    key.token = token;
    return sold.world.client(sold.replicas[replica], () => token);
  };

  const perform = async (made: Stage, numbers: Dice, told: string[]): Promise<void> => {
    const step = OPERATIONS[numbers.kind]!(made, numbers);
    if (step === undefined) return;
    told.push(step.says);
    const client = await clientOf(step, numbers.replica);
    if (client === undefined) return;
    const error = await errorOf(step.run(client));
    if (error !== undefined && error.reason === undefined) throw error;
    assert.equal(error?.reason ?? 'none', step.expect, `${step.says}: ${error?.message ?? 'went through'}`);
    if (error === undefined) seen.done += 1;
    else seen.refused.set(error.reason, (seen.refused.get(error.reason) ?? 0) + 1);
    if ('key' in step.by) client.close();
  };

  it('end as the model says, and leave every law intact', async () => {
    const given = process.env['ORG_PROPERTY_SEED'];
    const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
    console.log(`      ORG_PROPERTY_SEED=${seed}`);
    const law = fc.asyncProperty(sequences, async (rolls) => {
      const made = await firstStage(sold, `run${seen.runs++}`);
      const told: string[] = [];
      try {
        for (const numbers of rolls) {
          await perform(made, numbers, told);
          await checkTables(made);
        }
        await checkAtRest(made);
      } catch (error) {
        const { message } = error as Error;
        throw new Error(`${message}\nafter\n  ${told.join('\n  ')}`, { cause: error });
      }
    });
    await fc.assert(law, { seed, numRuns: RUNS, examples: EXAMPLES, interruptAfterTimeLimit: TIME_MS });
    for (const [org, list] of versions)
      for (let i = 1; i < list.length; i++)
        assert.ok(list[i]! > list[i - 1]!, `versions of ${org}: ${list.join()}`);
    const refused = [...seen.refused].sort(([, a], [, b]) => b - a).map(([reason, n]) => `${reason} ${n}`);
    console.log(`      ${seen.runs} runs, ${seen.done} calls done, refused: ${refused.join(', ')}`);
  });
});
