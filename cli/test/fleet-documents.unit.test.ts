// Goal: whoever looks for an agent sees whether anybody will answer there.
// Method: made-up agents.

import { strict as assert } from 'node:assert';
import { Agent } from '@fleetwire/gen/registry';
import { describe, it } from 'mocha';
import { agentsView } from '../src/fleet-documents.ts';

describe('the list of agents', () => {
  const agent = (details: Record<string, string>) =>
    Agent.fromPartial({ name: 'bob', status: 'online', profile: { location: { kind: 'process', details } } });

  it('says of an agent whose program has ended that it has, and how', () => {
    const { lines, document } = agentsView([agent({ ended: 'exit code 127' })]);
    assert.match(lines[1]!, /^bob +online, program ended: exit code 127 /);
    assert.match(JSON.stringify(document), /"program_ended":"exit code 127"/);
    const running = agentsView([agent({ pid: '77' })]);
    assert.match(running.lines[1]!, /^bob +online +/);
    assert.match(JSON.stringify(running.document), /"program_ended":null/);
  });
});
