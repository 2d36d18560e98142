/** Goal: what agents say of themselves is checked by one set of rules. Method: each bound, and all faults at once. */

import assert from 'node:assert/strict';
import { AgentProfile } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { checkProfile } from '../src/profile.ts';

type Given = Parameters<typeof AgentProfile.fromPartial>[0];
const of = (given: Given) => AgentProfile.fromPartial(given);

function faults(given: Given): string[] {
  try {
    checkProfile(of(given));
    return [];
  } catch (error) {
    assert(error instanceof FleetwireError);
    assert.deepEqual([error.kind, error.reason], ['invalid_argument', 'INVALID_PROFILE']);
    return error.violations.map((violation) => violation.field);
  }
}

describe('profile', () => {
  it('is kept in one form: capabilities in lower case, nothing twice', () => {
    const given = { capabilities: ['Review', 'gpu', 'review'], tools: { tools: ['git', 'git'] } };
    const { capabilities, tools } = checkProfile(of(given));
    assert.deepEqual([capabilities, tools], [['gpu', 'review'], { tools: ['git'] }]);
  });

  it('may fill each bound', () => {
    const many = (count: number, chars: number) =>
      Array.from({ length: count }, (_, i) => String(i).padEnd(chars, 'x'));
    const full = {
      model: 'm'.repeat(100),
      repo: 'r'.repeat(256),
      capabilities: many(32, 64),
      tools: { tools: many(256, 100) },
      visibility: 'group',
      group: 'g'.repeat(50),
      location: { kind: 'cloud', details: { region: 'eu', instance: '' } },
    };
    assert.deepEqual(faults(full), []);
    assert.deepEqual(faults({}), []);
  });

  it('is refused with all that does not fit', () => {
    const wrong = {
      model: 'two\nlines',
      repo: 'r'.repeat(257),
      capabilities: ['ok', '-mark-first', 'bl ank', 'x'.repeat(65), ''],
      tools: { tools: ['', 't'.repeat(101)] },
      visibility: 'public',
      group: 'g',
      location: { kind: 'moon', details: { '': 'x' } },
    };
    assert.deepEqual(faults(wrong), [
      'profile.model',
      'profile.repo',
      ...[1, 2, 3, 4].map((i) => `profile.capabilities[${i}]`),
      'profile.tools[0]',
      'profile.tools[1]',
      'profile.visibility',
      'profile.group',
      'profile.location.kind',
      'profile.location.details',
    ]);
    const counts = { capabilities: Array(33).fill('a'), tools: { tools: Array(257).fill('a') } };
    assert.deepEqual(faults(counts), ['profile.capabilities', 'profile.tools']);
    assert.deepEqual(faults({ visibility: 'group' }), ['profile.group']);
  });
});
