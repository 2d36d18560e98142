/** Goal: what the registry is told of an agent joins what it says with what the node sees. Method: both, and neither. */

import assert from 'node:assert/strict';
import { AgentProfile } from '@fleetwire/gen/registry';
import { describe, it } from 'mocha';
import { sameProfile, toldProfile } from '../src/domain/profile.ts';

const of = (given: Parameters<typeof AgentProfile.fromPartial>[0]) => AgentProfile.fromPartial(given);

describe('told profile', () => {
  it('tells no tools apart from all tools', () => {
    assert.equal(sameProfile(of({}), of({ tools: { tools: [] } })), false);
    assert.equal(sameProfile(of({ model: 'm' }), of({ model: 'm' })), true);
    assert.equal(sameProfile(undefined, of({})), false);
  });

  it('says where the agent runs as it says itself, else as the node sees it', () => {
    const seen = { kind: 'process', details: { pid: '7' } };
    const own = { kind: 'container', details: { id: 'c1' } };
    assert.equal(toldProfile(undefined, undefined), undefined);
    assert.deepEqual(toldProfile(undefined, seen)?.location, seen);
    assert.deepEqual(toldProfile(of({ location: own }), seen)?.location, own);
  });
});
