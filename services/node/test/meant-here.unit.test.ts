/**
 * Goal: an address means the same agents here as it does in words: all, those of a node, of a project, of a channel.
 * Method: addresses made of their parts, in any case, beside a reading of these parts that knows nothing of addresses.
 */

import assert from 'node:assert/strict';
import { isToMany, parseAddress } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { isMeant, type LocalAgent, meantHere, staysHere } from '../src/domain/meant-here.ts';

const HERE = 'Laptop';
const anyCase = (word: string) =>
  fc.constantFrom(word, word.toUpperCase(), `${word[0]!.toUpperCase()}${word.slice(1)}`);
const oneOf = (...words: string[]) => fc.constantFrom(...words).chain(anyCase);
const agents = fc.array(
  fc.record({
    id: fc.integer({ min: 0, max: 9 }).map((n) => `a_${n}`),
    name: oneOf('alice', 'bob', 'carol'),
    profile: fc.option(
      fc.record({ repo: fc.constantFrom('', 'https://host/team/app.git', 'git@host:team/web', '/src/App') }),
      { nil: undefined },
    ),
  }),
  { maxLength: 10 },
);
const node = fc.option(oneOf('laptop', 'desk'), { nil: undefined });
const project = fc.option(oneOf('app', 'web'), { nil: undefined });
const lower = (text: string | undefined) => text?.toLowerCase();

function worksOn({ profile }: LocalAgent, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  const { repo = '' } = profile ?? {};
  return wanted.toLowerCase() === (/app/i.test(repo) ? 'app' : /web/.test(repo) ? 'web' : 'none');
}

const written = (name: string, at: string | undefined, of: string | undefined) =>
  `${of === undefined ? '' : `${of}:`}${name}${at === undefined ? '' : `@${at}`}`;

describe('who is meant on this node', () => {
  it('by an address to all is everybody of the node and the project that it names', () => {
    fc.assert(
      fc.property(agents, node, project, (list, at, of) => {
        const address = parseAddress(written('*', at, of));
        assert.ok(isToMany(address));
        const meant = meantHere(address, { nodeName: HERE, members: () => undefined });
        const elsewhere = at !== undefined && lower(at) !== 'laptop';
        assert.equal(meant === undefined, elsewhere);
        for (const agent of list) assert.equal(meant?.(agent) ?? false, !elsewhere && worksOn(agent, of));
        assert.equal(staysHere(address, HERE), lower(at) === 'laptop');
      }),
    );
  });

  it('by the address of one agent is who has that name, on this node, and works on that project', () => {
    fc.assert(
      fc.property(agents, oneOf('alice', 'bob'), node, project, (list, name, at, of) => {
        const address = parseAddress(written(name, at, of));
        assert.ok(address.kind === 'agent');
        for (const agent of list) {
          const named = lower(agent.name) === lower(name) && lower(at ?? 'laptop') === 'laptop';
          assert.equal(isMeant(address, agent, HERE), named && worksOn(agent, of));
        }
      }),
    );
  });

  it('by a channel or a group are its members, and nobody can tell of one that is not known', () => {
    fc.assert(
      fc.property(
        agents,
        fc.constantFrom('#', '%'),
        fc.uniqueArray(fc.constantFrom<string>('a_1', 'a_2', 'a_9')),
        (list, mark, ids) => {
          const address = parseAddress(`${mark}ops`);
          assert.ok(isToMany(address));
          const kind = mark === '#' ? 'channel' : 'group';
          const members = (asked: string, name: string) =>
            asked === kind && name === 'ops' ? new Set(ids) : undefined;
          const meant = meantHere(address, { nodeName: HERE, members })!;
          for (const agent of list) assert.equal(meant(agent), ids.includes(agent.id));
          assert.equal(meantHere(address, { nodeName: HERE, members: () => undefined }), undefined);
          assert.equal(staysHere(address, HERE), false);
        },
      ),
    );
  });
});
