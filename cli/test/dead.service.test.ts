// Goal: `dead` asks for exactly the letters that were meant, goes on until all are done, and shows what was refused; `trace` says
// what the sending node knows of a message that history does not have.
// Method: the command line against a delivery and a node in this process that answer what a test says.

import { strict as assert } from 'node:assert';
import { FleetwireError, newMessageId } from '@fleetwire/kernel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type StandIn, standIn } from './stand-in.ts';

// biome-ignore lint/suspicious/noExplicitAny: requests as they came
type Request = any;

describe('dead letters on the command line', function () {
  this.timeout(60_000);
  let w: StandIn;
  beforeEach(async () => {
    w = await standIn();
  });
  afterEach(() => w[Symbol.asyncDispose]());

  const outcome = (id: string, reason = '') => ({ id, messageId: 'm', attempt: 1, reason, detail: reason });

  it('a request that takes several calls is one request, and shows what was refused', async () => {
    const pages = [
      { letters: [outcome('d1-1'), outcome('d1-2', 'SENDER_REMOVED')], continuation: 'd1-2' },
      { letters: [outcome('d1-3')], continuation: '' },
    ];
    w.answers.delivery['replayDeadLetters'] = ({ dryRun }: Request) =>
      dryRun === true ? { letters: [], continuation: '', matched: 3 } : { ...pages.shift()!, matched: 0 };
    const { code, json } = await w.run('dead', 'replay', '--sender', 'alice', '--yes', '--json');
    assert.equal(code, 0);
    const requests = w.asked.map(({ request }) => request as Request);
    assert.deepEqual(
      requests.map(({ dryRun, continuation, filter }) => [dryRun, continuation, filter.sender]),
      [
        [true, '', 'alice'],
        [false, '', 'alice'],
        [false, 'd1-2', 'alice'],
      ],
    );
    assert.equal(new Set(requests.map(({ requestId }) => requestId)).size, 1);
    assert.deepEqual([(json['replayed'] as object[]).length, json['request_id']], [2, requests[0].requestId]);
    assert.deepEqual(json['refused'], [
      { id: 'd1-2', message_id: 'm', reason: 'SENDER_REMOVED', detail: 'SENDER_REMOVED' },
    ]);
  });

  it('many by a filter need a yes, and something has to be said of which', async () => {
    w.answers.delivery['dropDeadLetters'] = () => ({ letters: [], continuation: '', matched: 3 });
    const asked = await w.run('dead', 'drop', '--all', '--json');
    assert.equal((asked.json['error'] as Request).reason, 'CONFIRMATION_MISSING');
    assert.deepEqual(
      w.asked.map(({ request }) => (request as Request).dryRun),
      [true],
    );
    for (const args of [[], ['d1-1', '--all'], ['--all', '--reason', 'X']]) {
      const { code, json } = await w.run('dead', 'drop', ...args, '--json');
      assert.deepEqual([code, (json['error'] as Request).reason], [64, 'SELECTION_INVALID']);
    }
  });

  it('what only the sending node knows yet is said with what it knows', async () => {
    const id = newMessageId();
    w.answers.delivery['traceMessage'] = () => {
      throw new FleetwireError('not_found', 'MESSAGE_UNKNOWN', 'there is no message of this id');
    };
    w.answers.node['waitMessage'] = () => ({ receipts: [], final: false });
    const { json } = await w.run('trace', id, '--json');
    assert.deepEqual([json['id'], json['node_name'], json['stage']], [id, 'laptop', 'accepted']);
    assert.equal((json['error'] as Request).reason, 'MESSAGE_NOT_IN_HISTORY');
    delete w.answers.node['waitMessage'];
    const unknown = await w.run('trace', id, '--json');
    assert.equal((unknown.json['error'] as Request).reason, 'MESSAGE_UNKNOWN');
  });
});
