/** Goal: refusals are audited, but never fill the disk or hide why a call was refused. Method: a store that only counts. */

import assert from 'node:assert/strict';
import type { Store } from '@fleetwire/store';
import { silentLog as log } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { Denials } from '../src/handlers/denials.ts';
import type { AuditEntry } from '../src/store/records.ts';

const MINUTE = 60_000;

const entry = (actor: string, atMs: number, org = 'o_1'): AuditEntry => ({
  org,
  atMs,
  actorKind: 'user',
  actor,
  action: 'member.remove',
  target: '',
  decision: 'denied',
  reason: 'ROLE_TOO_LOW',
  peer: '',
});

function counting() {
  const written: { readonly actor: string; readonly suppressed: string | undefined }[] = [];
  const query = async (_sql: string, params: readonly unknown[] = []) => {
    written.push({ actor: String(params[3]), suppressed: JSON.parse(String(params[9])).suppressed });
    return [];
  };
  return { written, denials: new Denials({ query } as unknown as Store, log) };
}

describe('refusals', () => {
  it('are written 30 times a minute for one caller in one org, and the rest is counted', async () => {
    const { denials, written } = counting();
    for (let i = 0; i < 45; i++) await denials.write(entry('u_1', i));
    assert.equal(written.length, 30);
    await denials.write(entry('u_2', 50));
    await denials.write(entry('u_1', 50, 'o_2'));
    assert.equal(written.length, 32, 'others are not kept out');
    await denials.write(entry('u_1', MINUTE));
    await denials.write(entry('u_1', MINUTE));
    assert.deepEqual(written.slice(32), [
      { actor: 'u_1', suppressed: '15' },
      { actor: 'u_1', suppressed: undefined },
    ]);
  });

  it('that cannot be written do not hide why the call was refused', async () => {
    const query = () => Promise.reject(new Error('away'));
    await new Denials({ query } as unknown as Store, log).write(entry('u_1', 0));
  });
});
