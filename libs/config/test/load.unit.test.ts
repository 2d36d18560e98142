// Goal: configuration is read as documented; what is unknown or wrong is refused by key, and secrets never show.
// Method: load sections from made-up environments, and look at values, typed errors and what is printed.

import { strict as assert } from 'node:assert';
import {
  type ConfigOf,
  defineSection,
  describeConfig,
  loadConfig,
  type Sections,
  secretText,
  sections,
  shownConfig,
  z,
} from '@fleetwire/config';
import { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';

const own = {
  own: defineSection('testing', {
    size: z.number().int().min(1).max(10).default(3).describe('How many'),
    on: z.boolean().default(true).describe('Whether'),
    names: z.array(z.string()).default([]).describe('Which'),
    password: secretText().optional().describe('What is not shown'),
  }),
};

function refusal(env: Record<string, string>, of: Sections = { ...sections, ...own }): FleetwireError {
  try {
    loadConfig(of, { env });
  } catch (error) {
    assert.ok(error instanceof FleetwireError);
    return error;
  }
  throw new Error('it was not refused');
}

describe('loadConfig', () => {
  it('gives defaults when nothing is set', () => {
    const config = loadConfig({ ...sections, ...own }, { env: {} });
    assert.deepEqual(config.own, { size: 3, on: true, names: [] });
    assert.equal(config.rpc.listen, '127.0.0.1:0');
    assert.equal(config.common.home, undefined);
  });

  it('reads text by the type of the key', () => {
    const env = {
      FLEETWIRE_TESTING_SIZE: '7',
      FLEETWIRE_TESTING_ON: 'no',
      FLEETWIRE_TESTING_NAMES: 'a, b,,c',
    };
    assert.deepEqual(loadConfig(own, { env }).own, { size: 7, on: false, names: ['a', 'b', 'c'] });
  });

  it('takes an empty variable for one that is not set', () => {
    assert.equal(loadConfig(own, { env: { FLEETWIRE_TESTING_SIZE: '' } }).own.size, 3);
  });

  it('lets overrides win, checked alike', () => {
    const env = { FLEETWIRE_TESTING_SIZE: '7' };
    assert.equal(loadConfig(own, { env, overrides: { own: { size: 8 } } }).own.size, 8);
    assert.equal(loadConfig(own, { env, overrides: { own: { size: undefined } } }).own.size, 7);
    assert.throws(() => loadConfig(own, { env, overrides: { own: { size: 99 } } }), {
      reason: 'INVALID_CONFIG',
    });
    const misspelt = { own: { sise: 1 } } as unknown as { own: { size: number } };
    assert.throws(() => loadConfig(own, { env, overrides: misspelt }), { reason: 'INVALID_CONFIG' });
  });

  it('refuses an unknown key and names the nearest', () => {
    const error = refusal({ FLEETWIRE_NATS_URLL: 'x' });
    assert.equal(error.kind, 'invalid_argument');
    assert.equal(error.reason, 'UNKNOWN_CONFIG_KEY');
    assert.match(error.help!, /FLEETWIRE_NATS_URL\?/);
    assert.doesNotMatch(error.message, /=x/);
  });

  it('ignores other services, knows its own prefix, and accepts what agents are given', () => {
    const env = { FLEETWIRE_ROUTER_WHATEVER: '1', FLEETWIRE_NODE_ADDRESS: 'a:1', FLEETWIRE_AGENT_TOKEN: 't' };
    assert.doesNotThrow(() => loadConfig({ common: sections.common }, { env }));
    const router = { router: defineSection('router', { window: z.number().default(1).describe('x') }) };
    assert.equal(refusal(env, router).reason, 'UNKNOWN_CONFIG_KEY');
  });

  it('names every bad key with what is allowed', () => {
    const error = refusal({
      FLEETWIRE_LOG_LEVEL: 'loud',
      FLEETWIRE_DATABASE_POOL_MAX: '1000',
      FLEETWIRE_NATS_SINGLE_TENANT: 'maybe',
      FLEETWIRE_RPC_LISTEN: 'nowhere',
    });
    assert.equal(error.reason, 'INVALID_CONFIG');
    assert.match(error.message, /FLEETWIRE_LOG_LEVEL: "loud".*trace, debug/);
    assert.match(error.message, /FLEETWIRE_DATABASE_POOL_MAX.*at most 200/);
    assert.match(error.message, /FLEETWIRE_NATS_SINGLE_TENANT.*true or false/);
    assert.match(error.message, /FLEETWIRE_RPC_LISTEN.*host:port/);
    assert.equal(error.details['faults'], '4');
  });

  it('never shows a secret, whatever is wrong with it', () => {
    const picky = { picky: defineSection('picky', { key: secretText().min(1000).optional().describe('x') }) };
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9]{8,40}$/), (value) => {
        const error = refusal({ FLEETWIRE_PICKY_KEY: value }, picky);
        assert.ok(!JSON.stringify([error.message, error.help, error.details]).includes(value));
      }),
    );
  });
});

describe('describeConfig and shownConfig', () => {
  it('has a row with a line of doc for every key', () => {
    const rows = describeConfig(sections);
    assert.ok(rows.length > 20);
    assert.equal(new Set(rows.map((row) => row.key)).size, rows.length);
    for (const row of rows) assert.ok(row.doc.length > 3, row.key);
    const pool = rows.find((row) => row.key === 'FLEETWIRE_DATABASE_POOL_MAX');
    assert.deepEqual([pool?.default, pool?.secret], ['8', false]);
  });

  it('leaves secrets out of what it shows', () => {
    const env = {
      FLEETWIRE_DATABASE_URL: 'postgres://me:hunter22@db/x',
      FLEETWIRE_TESTING_PASSWORD: 'hunter22',
    };
    const all = { ...sections, ...own };
    const config: ConfigOf<typeof all> = loadConfig(all, { env });
    const shown = JSON.stringify(shownConfig(all, config));
    assert.ok(shown.includes('FLEETWIRE_DATABASE_URL') && !shown.includes('hunter22'));
  });
});

describe('defineSection', () => {
  it('insists on a doc line and a default', () => {
    assert.throws(() => defineSection('bad', { a: z.string().default('') }), /no line of doc/);
    assert.throws(() => defineSection('bad', { a: z.string().describe('x') }), /no default/);
    assert.throws(() => defineSection('bad', { badCase: z.string().default('').describe('x') }), /snake/);
  });
});
