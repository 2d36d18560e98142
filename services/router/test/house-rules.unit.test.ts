/**
 * Goal: what policies deny never reaches an inbox, its sender and the audit learn why; what limits refuse goes back; who has no
 * policies is asked nothing.
 * Method: flows on a table in memory, with policies compiled from the state of an org.
 */

import assert from 'node:assert/strict';
import { compileOrg, type OrgAccess } from '@fleetwire/access';
import { OrgState, type PolicyRule } from '@fleetwire/gen/access';
import { Envelope, InboxPack, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { HouseRules, type HouseRulesOptions } from '../src/domain/house-rules.ts';
import { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { RoutingTable } from '../src/domain/routing-table.ts';
import { explain } from '../src/handlers/explain.ts';
import type { NameLookup } from '../src/handlers/name-lookup.ts';
import {
  idOf,
  message,
  NODE,
  NOW_US,
  nodeRoute,
  ORG,
  packOf,
  route,
  suggestionsOf,
  tableOf,
} from './samples.ts';

const SENDER = 'a_sender0000000000';

function org(rules: readonly Partial<PolicyRule>[], status = 'active'): OrgAccess {
  const policy = { id: 'p_1', name: 'Quiet', level: 'org', rules: rules.map((r) => ({ agents: '*', ...r })) };
  const policies = rules.length === 0 ? [] : [policy];
  return compileOrg(OrgState.fromPartial({ org: ORG, version: 1, status, policies }));
}

const mayMessage = (...patterns: string[]) => org([{ canMessage: { patterns } }]);

function rulesOf(access: OrgAccess | undefined, over: Partial<HouseRulesOptions> = {}): HouseRules {
  const rates = { node: undefined, org: undefined, bucketsMax: 100 };
  const some = { rates, denialsEveryMs: 60_000, inboxFullRetryMs: 5000 };
  return new HouseRules({ access: () => access, ...some, ...over });
}

function tableWithSender(...names: string[]): RoutingTable {
  const table = tableOf(...names);
  table.put(route('sender', { agent: SENDER, node: NODE, nodeName: 'home' }));
  table.putNode(ORG, nodeRoute('n_laptop'));
  return table;
}

function flowWith(table: RoutingTable, rules: HouseRules, refusals = new Map<string, number>()) {
  const names = { table, known: () => undefined };
  return new PartitionFlow({
    partition: 0,
    router: 'router-test',
    names,
    suggest: suggestionsOf(table),
    rules,
    refusals,
  });
}

/** All that a flow stores for these envelopes. */
function outcome(flow: PartitionFlow, mail: readonly Partial<Envelope>[], sequence = 1) {
  flow.accept(message(sequence, packOf(mail)), NOW_US);
  const delivered: string[] = [];
  const receipts = [];
  let dead = 0;
  for (let pack = flow.next(NOW_US); pack !== undefined; pack = flow.next(NOW_US)) {
    const { kind } = pack.pack.items[0]!;
    for (const { payload } of pack.stores) {
      if (kind === 'dead') dead++;
      else if (kind === 'receipt') receipts.push(...ReceiptBatch.decode(payload).receipts);
      else
        for (const { envelope, recipients } of InboxPack.decode(payload).entries)
          delivered.push(`${Envelope.decode(envelope).id} ${recipients.join()}`);
    }
    flow.stored(pack);
  }
  return { delivered, receipts, dead };
}

describe('policies', () => {
  it('refuse a message with the reason and the explanation, and tell the audit', () => {
    const rules = rulesOf(mayMessage('bob'));
    const refusals = new Map<string, number>();
    const flow = flowWith(tableWithSender('alice', 'bob'), rules, refusals);
    const found = outcome(flow, [
      { id: idOf(1), to: 'alice' },
      { id: idOf(2), to: 'BOB' },
    ]);
    assert.deepEqual(found.delivered, [`${idOf(2)} a_bob`]);
    assert.equal(found.dead, 1);
    const [told] = found.receipts;
    assert.deepEqual([told!.stage, told!.reason, told!.recipient], [Stage.DEAD, 'MESSAGE_DENIED', 'a_alice']);
    assert.match(told!.detail, /Rule 1 of the org policy "Quiet" lets agents named "\*" message only/);
    const [denial] = rules.denials.take(NOW_US / 1000);
    assert.deepEqual(
      [denial!.actor, denial!.actorName, denial!.target, denial!.targetName, denial!.count],
      [SENDER, 'sender', 'a_alice', 'alice', 1],
    );
    assert.deepEqual([...refusals], [['MESSAGE_DENIED', 1]]);
  });

  it('leave those out of a message to many that it may not reach', () => {
    const rules = rulesOf(mayMessage('b*'));
    const flow = flowWith(tableWithSender('alice', 'bob', 'bert'), rules);
    const { delivered, receipts, dead } = outcome(flow, [{ id: idOf(1), to: '*' }]);
    assert.deepEqual(delivered, [`${idOf(1)} a_bob,a_bert`]);
    assert.deepEqual([receipts.length, receipts[0]!.stage, receipts[0]!.fanOut], [1, Stage.ROUTED, 2]);
    assert.match(receipts[0]!.detail, /policies leave 1 out/);
    assert.equal(dead, 0);
    assert.equal(rules.denials.take(NOW_US / 1000).length, 1);
  });

  it('refuse a message to many that may reach none of them', () => {
    const flow = flowWith(tableWithSender('alice', 'bob'), rulesOf(mayMessage()));
    const { delivered, receipts, dead } = outcome(flow, [{ id: idOf(1), to: '*' }]);
    assert.deepEqual([delivered.length, dead, receipts.length], [0, 1, 1]);
    assert.deepEqual([receipts[0]!.reason, receipts[0]!.stage], ['MESSAGE_DENIED', Stage.DEAD]);
  });

  it('refuse everything in an org that is being deleted', () => {
    const flow = flowWith(tableWithSender('alice'), rulesOf(org([], 'deleting')));
    assert.equal(outcome(flow, [{ id: idOf(1) }]).receipts[0]!.reason, 'ORG_CLOSED');
  });

  it('have only those picked for a capability that may be messaged, and refuse where there is none', () => {
    const table = tableWithSender();
    for (const name of ['alice', 'bob']) table.put(route(name, { capabilities: ['review'] }));
    const mail = Array.from({ length: 10 }, (_, n) => ({ id: idOf(n), to: '?review' }));
    const some = outcome(flowWith(table, rulesOf(mayMessage('bob'))), mail);
    assert.deepEqual(new Set(some.delivered.map((each) => each.split(' ')[1])), new Set(['a_bob']));
    assert.equal(some.delivered.length, 10);
    const none = outcome(flowWith(table, rulesOf(mayMessage('carol'))), mail);
    assert.deepEqual([none.delivered.length, none.receipts[0]!.reason], [0, 'MESSAGE_DENIED']);
  });

  it('are asked by the name in the table, and by what the node says only where that has none', () => {
    const access = org([
      { agents: 'friend', canMessage: { patterns: ['*'] } },
      { canMessage: { patterns: [] } },
    ]);
    const known = flowWith(tableWithSender('alice'), rulesOf(access));
    assert.equal(outcome(known, [{ id: idOf(1), fromName: 'friend' }]).delivered.length, 0);
    const unknown = flowWith(tableOf('alice'), rulesOf(access));
    assert.equal(outcome(unknown, [{ id: idOf(1), fromName: 'friend' }]).delivered.length, 1);
    assert.equal(outcome(unknown, [{ id: idOf(2), fromName: 'foe' }], 2).delivered.length, 0);
  });

  it('are not asked where there are none about messages', () => {
    const access = org([{ maxSpawns: 1 }]);
    access.decide = () => assert.fail('asked');
    access.limitsFor = () => assert.fail('asked');
    for (const each of [access, undefined]) {
      const flow = flowWith(tableWithSender('alice'), rulesOf(each));
      assert.equal(outcome(flow, [{ id: idOf(1) }, { id: idOf(2), to: '*' }]).delivered.length, 2);
    }
  });

  it('are part of what Explain says', async () => {
    const names = { table: tableWithSender('alice', 'bob'), known: () => undefined };
    const rules = rulesOf(mayMessage('bob'));
    const clock = { nowUs: () => NOW_US, monotonicMs: () => 0 };
    const suggest = suggestionsOf(names.table);
    const ask = explain({ names, lookup: undefined as unknown as NameLookup, suggest, clock, rules });
    const caller = { kind: 'user', subject: 'u_1', org: ORG } as never;
    const answer = (to: string, from: string) => ask({ org: '', to, from }, { caller });
    const denied = await answer('alice', 'sender');
    assert.deepEqual([denied.routable, denied.reason, denied.name], [false, 'MESSAGE_DENIED', 'alice']);
    assert.match(denied.policy, /"Quiet"/);
    const allowed = await answer('bob', 'sender');
    assert.equal(allowed.routable, true);
    assert.match(allowed.policy, /"Quiet"/);
    const all = await answer('*', 'sender');
    assert.match(all.policy, /"Quiet".*leaves 1 of 2 out/);
    assert.deepEqual([all.routable, all.recipients], [true, 1]);
    assert.equal((await answer('alice', '')).policy, '');
    assert.deepEqual(rules.denials.take(NOW_US / 1000), [], 'a question is no denial');
  });
});

describe('limits', () => {
  it('give back what an agent sends beyond its policy, and pass on what others send', () => {
    const rules = rulesOf(org([{ agents: 'sender', rateLimitPerMinute: 10 }]));
    const flow = flowWith(tableWithSender('alice', 'bob'), rules);
    const mail = Array.from({ length: 40 }, (_, n) => ({ id: idOf(n) }));
    const { delivered, receipts, dead } = outcome(flow, mail);
    assert.deepEqual([delivered.length, receipts.length, dead], [24, 16, 0]);
    assert.deepEqual([receipts[0]!.reason, receipts[0]!.stage], ['RATE_LIMITED', Stage.RETURNED]);
    assert.equal(outcome(flow, [{ id: idOf(50), fromAgent: 'a_bob' }], 2).delivered.length, 1);
    assert.deepEqual(rules.busy.take(), [], 'the node is not held back for one of its agents');
  });

  it('ask a node to hold back before it is refused, and then until there is a token', () => {
    const node = { tokens: 10, perMs: 1000, burst: 20 };
    const rules = rulesOf(undefined, { rates: { node, org: undefined, bucketsMax: 10 } });
    const flow = flowWith(tableWithSender('alice'), rules);
    const mail = (n: number, count: number) => Array.from({ length: count }, (_, i) => ({ id: idOf(n + i) }));
    assert.equal(outcome(flow, mail(0, 18)).delivered.length, 18);
    assert.deepEqual(rules.busy.take(), []);
    assert.equal(outcome(flow, mail(20, 1), 2).delivered.length, 1);
    const [warned] = rules.busy.take();
    assert.deepEqual(warned, { org: ORG, node: NODE, reason: 'rate_limited', retryAfterMs: 300 });
    const { delivered, receipts } = outcome(flow, mail(40, 3), 3);
    assert.deepEqual(
      [delivered.length, receipts.map((r) => r.reason)],
      [1, ['RATE_LIMITED', 'RATE_LIMITED']],
    );
    assert.match(receipts[0]!.detail, /limit of its node.* 100 ms/);
    assert.deepEqual(rules.busy.take(), [], 'once a second');
  });
});

describe('a full inbox', () => {
  it('is told to each node that sends there, with the agent, its node and for how long', () => {
    const rules = rulesOf(undefined);
    const flow = flowWith(tableWithSender('alice', 'bob'), rules);
    flow.accept(message(1, packOf([{ id: idOf(1) }, { id: idOf(2) }, { id: idOf(3), to: 'bob' }])), NOW_US);
    for (let pack = flow.next(NOW_US); pack !== undefined; pack = flow.next(NOW_US)) {
      if (pack.pack.items[0]!.kind === 'inbox') flow.refused(pack, NOW_US);
      else flow.stored(pack);
    }
    const told = rules.busy.take();
    const some = told.map(({ node, reason, retryAfterMs, about }) => [
      node,
      reason,
      retryAfterMs,
      about?.name,
    ]);
    assert.deepEqual(some, [
      [NODE, 'inbox_full', 5000, 'alice'],
      [NODE, 'inbox_full', 5000, 'bob'],
    ]);
  });
});
