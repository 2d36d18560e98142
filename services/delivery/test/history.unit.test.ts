/**
 * Goal: history passes over what stands on a subject that is none of the contract, and counts it.
 * Method: one message of the stream, read without a database.
 */

import assert from 'node:assert/strict';
import type { PulledMessage } from '@fleetwire/broker';
import { IngressPack } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { readHistory } from '../src/handlers/history.ts';

describe('history', () => {
  it('has no row of what came on an odd subject, and leaves the dead letter to the router', () => {
    const data = IngressPack.encode({ envelopes: [new Uint8Array([10, 1, 120])] }).finish();
    const message = { subject: 'fw.v1.ingress.0.ORG.Node', data, sequence: 7, storedAtUs: 1 };
    const { rows, rejected } = readHistory(message as PulledMessage);
    assert.equal(rows.length, 0);
    assert.deepEqual(
      rejected.map((it) => [it.reason, it.keep, it.org, it.sequence]),
      [['NOT_INGRESS', false, '', 7]],
    );
  });
});
