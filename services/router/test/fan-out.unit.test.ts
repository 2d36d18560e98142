/**
 * Goal: an address to many means just those agents that it says, node by node, whatever has changed before.
 * Method: examples; and random changes of agents, nodes and channels against the plainest model of an org.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { NOBODY, resolve } from '../src/domain/resolve.ts';
import { RoutingTable } from '../src/domain/routing-table.ts';
import { Suggestions } from '../src/domain/suggestions.ts';
import { nodeRoute, ORG, route } from './samples.ts';

function fleet(): RoutingTable {
  const table = new RoutingTable();
  for (const node of ['n_laptop', 'n_tower', 'n_spare']) table.putNode(ORG, nodeRoute(node));
  const tower = { node: 'n_tower', nodeName: 'tower' };
  table.put(route('alice', { project: 'app' }));
  table.put(route('bob'));
  table.put(route('carol', { ...tower, project: 'app' }));
  table.put(route('dave', tower));
  table.put(route('asleep', { ...tower, suspended: true, project: 'app' }));
  const members = ['a_alice', 'a_carol', 'a_asleep', 'a_gone'];
  table.putChannel(ORG, { channel: 'c_1', name: 'Ops', epoch: 1, group: false, members });
  table.putChannel(ORG, { channel: 'c_2', name: 'team', epoch: 1, group: true, members: ['a_dave'] });
  table.putChannel(ORG, { channel: 'c_3', name: 'empty', epoch: 1, group: false, members: [] });
  return table;
}

const names = (table: RoutingTable) => ({ table, known: () => undefined });

/** Names by node, or the reason why there is none. */
function meant(table: RoutingTable, to: string, over: Partial<typeof NOBODY> = {}, org = ORG) {
  const found = resolve(names(table), org, to, { ...NOBODY, ...over });
  if (found.kind === 'dead') return found.reason;
  assert.ok(found.kind === 'many', to);
  assert.equal(
    found.count,
    found.shares.reduce((sum, { recipients }) => sum + recipients.length, 0),
  );
  const shares = found.shares.map(({ place, recipients }) => [
    place.node.slice(2),
    recipients.map(({ name }) => name).sort(),
  ]);
  return Object.fromEntries(shares) as Record<string, string[]>;
}

describe('an address to many', () => {
  const table = fleet();

  it('means members, everybody, everybody of a node or of a project, but nobody who is suspended', () => {
    const all = { laptop: ['alice', 'bob'], tower: ['carol', 'dave'] };
    const app = { laptop: ['alice'], tower: ['carol'] };
    const cases: [string, ReturnType<typeof meant>][] = [
      ['#ops', app],
      ['#OPS', app],
      ['%team', { tower: ['dave'] }],
      ['*', all],
      ['*:*', all],
      ['*@Tower', { tower: ['carol', 'dave'] }],
      ['*:*@tower', { tower: ['carol', 'dave'] }],
      ['APP:*', app],
      ['app:*@laptop', { laptop: ['alice'] }],
    ];
    for (const [to, expected] of cases) assert.deepEqual(meant(table, to), expected, to);
  });

  it('never means its sender, nor whom the sending node has served', () => {
    assert.deepEqual(meant(table, '#ops', { fromAgent: 'a_alice' }), { tower: ['carol'] });
    const served = { fromAgent: 'a_alice', fromNode: 'n_laptop', localServed: true };
    assert.deepEqual(meant(table, '*', served), { tower: ['carol', 'dave'] });
    assert.deepEqual(meant(table, '*@laptop', served), {});
  });

  it('is refused where it means nobody, and where nothing has that name', () => {
    const cases: [string, string][] = [
      ['#empty', 'NO_RECIPIENTS'],
      ['*@spare', 'NO_RECIPIENTS'],
      ['%team', 'NO_RECIPIENTS'],
      ['app:*@spare', 'NO_RECIPIENTS'],
      ['#team', 'UNKNOWN_CHANNEL'],
      ['%ops', 'UNKNOWN_GROUP'],
      ['*@nowhere', 'UNKNOWN_NODE'],
      ['nothing:*', 'UNKNOWN_PROJECT'],
      ['app:*@nowhere', 'UNKNOWN_NODE'],
    ];
    for (const [to, reason] of cases) assert.equal(meant(table, to, { fromAgent: 'a_dave' }), reason, to);
  });

  it("does not tell another org's names from those that are not there", () => {
    for (const [theirs, none] of [
      ['#ops', '#nothing'],
      ['%team', '%nothing'],
      ['*@tower', '*@nothing'],
      ['app:*', 'nothing:*'],
    ] as const) {
      const said = [theirs, none].map((to) => {
        const found = resolve(names(table), 'o_other', to);
        assert.ok(found.kind === 'dead');
        return found.detail.replace(/"[^"]*"/, '""');
      });
      assert.equal(said[0], said[1]);
    }
    assert.equal(meant(table, '*', {}, 'o_other'), 'NO_RECIPIENTS');
  });

  it('comes with what may have been meant instead', () => {
    const suggest = new Suggestions(table, { scan: 100, perSecond: 100 });
    const near = (to: string, reason: string) => suggest.near(ORG, to, 0, reason);
    assert.deepEqual(near('#opps', 'UNKNOWN_CHANNEL'), ['#Ops']);
    assert.deepEqual(near('%taem', 'UNKNOWN_GROUP'), ['%team']);
    assert.deepEqual(near('*@towr', 'UNKNOWN_NODE'), ['*@tower']);
    assert.deepEqual(near('app:*@towr', 'UNKNOWN_NODE'), ['app:*@tower']);
    assert.deepEqual(near('apq:*', 'UNKNOWN_PROJECT'), ['app:*']);
    assert.deepEqual(near('#empty', 'NO_RECIPIENTS'), []);
  });
});

describe('an agent of a project', () => {
  const table = fleet();
  const found = (to: string) => resolve(names(table), ORG, to);
  const suggest = new Suggestions(table, { scan: 100, perSecond: 100 });

  it('is found by it, with and without its node', () => {
    for (const to of ['app:alice', 'APP:Alice', 'app:alice@laptop']) {
      const { kind, route: there } = found(to) as Extract<ReturnType<typeof resolve>, { kind: 'route' }>;
      assert.deepEqual([kind, there.agent], ['route', 'a_alice'], to);
    }
  });

  it('is unknown by another, and it is said where it is', () => {
    for (const [to, where] of [
      ['web:alice', 'app:alice'],
      ['web:bob', 'bob@laptop'],
      ['app:alice@tower', 'app:alice@laptop'],
    ] as const) {
      const refused = found(to);
      assert.equal(refused.kind === 'dead' && refused.reason, 'UNKNOWN_AGENT', to);
      assert.deepEqual(suggest.near(ORG, to, 0), [where]);
    }
    assert.deepEqual(found('app:nobody'), { kind: 'ask', folded: 'nobody' });
  });
});

interface Agent {
  readonly name: string;
  readonly node: string;
  readonly nodeName: string;
  readonly project: string;
  readonly suspended: boolean;
  readonly epoch: number;
}

const NODES = ['n_1', 'n_2', 'n_3'];
const agents = fc.constantFrom('a_1', 'a_2', 'a_3', 'a_4', 'a_5');
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      put: agents,
      name: fc.constantFrom('u', 'v', 'w'),
      node: fc.constantFrom(...NODES),
      nodeName: fc.constantFrom('one', 'two'),
      project: fc.constantFrom('', 'app', 'web'),
      suspended: fc.boolean(),
      epoch: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ remove: agents }) },
  fc.record({ putNode: fc.constantFrom(...NODES), name: fc.constantFrom('one', 'two', 'three') }),
  fc.record({ removeNode: fc.constantFrom(...NODES) }),
  fc.record({ members: fc.array(agents, { maxLength: 4 }) }),
);

describe('the table of agents by node, project and channel', () => {
  it('agrees with the plainest model after any changes', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), fc.boolean(), (changes, localServed) => {
        const table = new RoutingTable();
        const known = new Map<string, Agent>();
        const nodeNames = new Map<string, string>();
        const holders = new Map<string, string>();
        let members: readonly string[] = [];
        const sender = { fromAgent: 'a_1', fromNode: 'n_1', localServed };
        for (const [i, c] of changes.entries()) {
          // What it keeps of the channel from now is of no use after the change.
          resolve(names(table), ORG, '#ops', { ...NOBODY, ...sender });
          if ('put' in c) {
            const { put: agent, ...is } = c;
            const newer = (known.get(agent)?.epoch ?? 0) <= is.epoch;
            assert.equal(table.put(route(is.name, { ...is, agent })), newer);
            if (newer) known.set(agent, is);
          } else if ('remove' in c) {
            table.remove(ORG, c.remove);
            known.delete(c.remove);
          } else if ('putNode' in c) {
            table.putNode(ORG, nodeRoute(c.putNode, { name: c.name, epoch: i + 1 }));
            nodeNames.set(c.putNode, c.name);
            holders.set(c.name, c.putNode);
          } else if ('removeNode' in c) {
            table.removeNode(ORG, c.removeNode);
            nodeNames.delete(c.removeNode);
          } else {
            members = [...new Set(c.members)];
            table.putChannel(ORG, {
              channel: 'c_1',
              name: 'ops',
              epoch: i + 1,
              group: false,
              members: [...members],
            });
          }
        }
        const expected = (is: (agent: Agent, id: string) => boolean) =>
          [...known]
            .filter(([id, each]) => id !== 'a_1' && !each.suspended && is(each, id))
            .filter(([, each]) => !localServed || each.node !== 'n_1')
            .map(([id]) => id)
            .sort();
        const check = (to: string, is: (agent: Agent, id: string) => boolean) => {
          const found = resolve(names(table), ORG, to, { ...NOBODY, ...sender });
          const got = found.kind === 'many' ? found.shares.flatMap((share) => share.recipients) : [];
          for (const { place, recipients } of found.kind === 'many' ? found.shares : [])
            for (const each of recipients) {
              assert.equal(each.place, place);
              assert.equal(`${place.prefix}${each.agent}`, each.subject);
              assert.equal(known.get(each.agent)!.nodeName, place.nodeName);
            }
          assert.deepEqual(got.map(({ agent }) => agent).sort(), expected(is), to);
        };
        check('*', () => true);
        for (const project of ['app', 'web']) check(`${project}:*`, (each) => each.project === project);
        check('#ops', (_, id) => members.includes(id));
        for (const [name, node] of holders) {
          if (nodeNames.get(node) === name) check(`*@${name}`, (each) => each.node === node);
          else assert.equal(table.nodeByName(ORG, name), undefined);
        }
        for (const id of known.keys()) table.remove(ORG, id);
        assert.deepEqual([...table.places(ORG)], []);
        assert.equal(table.project(ORG, 'app'), undefined);
      }),
      { numRuns: 500 },
    );
  });
});
