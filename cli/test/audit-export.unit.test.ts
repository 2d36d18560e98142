// Goal: an export is JSON lines, one batch in memory at a time: the next is asked for when the last was written.
// Method: a stream that notes when it is asked, a reader that is slow.

import { strict as assert } from 'node:assert';
import type { AuditEntry } from '@fleetwire/gen/org';
import { describe, it } from 'mocha';
import { writeLines } from '../src/commands/audit.ts';

const entry = (id: number): AuditEntry => ({
  id,
  atMs: 1_700_000_000_000,
  actorKind: 'user',
  actor: 'u_1',
  action: 'member.remove',
  target: 'line\nbreak',
  decision: 'allowed',
  reason: '',
  peer: '127.0.0.1:1',
  details: { 'a"b': 'c' },
});

describe('an audit export', () => {
  it('writes a line for each entry, and reads no further than it has written', async () => {
    const steps: string[] = [];
    let text = '';
    async function* batches() {
      for (const ids of [[1, 2, 3], [], [4]]) {
        steps.push(`read ${ids.length}`);
        yield { entries: ids.map(entry) };
      }
    }
    const count = await writeLines(batches(), async (part) => {
      await Promise.resolve();
      text += part;
      steps.push(`wrote ${part.split('\n').length - 1}`);
    });
    assert.equal(count, 4);
    assert.deepEqual(steps, ['read 3', 'wrote 3', 'read 0', 'wrote 0', 'read 1', 'wrote 1']);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map((line) => line.id),
      [1, 2, 3, 4],
    );
    assert.deepEqual(
      [lines[0].target, lines[0].details, lines[0].at],
      ['line\nbreak', { 'a"b': 'c' }, '2023-11-14T22:13:20.000Z'],
    );
  });
  it('ends with the fault of the stream', async () => {
    async function* batches() {
      yield { entries: [entry(1)] };
      throw new Error('gone');
    }
    await assert.rejects(
      writeLines(batches(), async () => undefined),
      /gone/,
    );
  });
});
