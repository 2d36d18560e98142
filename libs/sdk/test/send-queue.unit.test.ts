// Goal: a message that cannot be encoded ends with its error and holds nothing else up.
// Method: the queue alone, as a session does after it broke.

import { strict as assert } from 'node:assert';
import type { Outgoing } from '@fleetwire/gen/node';
import type { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { SendQueue } from '../src/send-queue.ts';

const message = (id: string, ttlMs = 0): Outgoing => ({
  ref: 0,
  id,
  to: 'bob',
  body: new Uint8Array(),
  contentType: '',
  correlationId: '',
  replyTo: '',
  ttlMs,
  traceparent: '',
  priority: 0,
  answerWithinMs: 0,
  cancels: '',
});

describe('send queue', () => {
  it('ends what cannot be encoded at the next session, and sends the rest again in order', () => {
    const queue = new SendQueue();
    const settled = new Map<string, FleetwireError | undefined>();
    for (const [id, ttlMs] of [
      ['a', 0],
      ['bad', -1],
      ['b', 0],
    ] as const)
      queue.add(message(id, ttlMs), (error) => settled.set(id, error));
    queue.take();
    queue.restart();
    assert.deepEqual([...settled.keys()], ['bad']);
    const { kind, reason } = settled.get('bad')!;
    assert.deepEqual([kind, reason], ['invalid_argument', 'INVALID_MESSAGE']);
    assert.deepEqual(
      queue.take().map(({ id, ref }) => [id, ref]),
      [
        ['a', 1],
        ['b', 2],
      ],
    );
    queue.accepted([
      { ref: 1, id: 'a' },
      { ref: 2, id: 'b' },
    ]);
    assert.equal(queue.size, 0);
  });

  it('takes back what was never sent, and nothing that a node may have', () => {
    const queue = new SendQueue();
    const ended: string[] = [];
    const [sent, unsent] = [message('sent'), message('unsent')];
    for (const one of [sent, unsent]) queue.add(one, () => ended.push(one.id));
    queue.take();
    const late = message('late');
    queue.add(late, () => ended.push('late'));
    assert.deepEqual([queue.withdraw(sent), queue.withdraw(late), queue.size], [false, true, 2]);
    queue.restart();
    assert.equal(queue.withdraw(sent), false);
    assert.deepEqual(
      queue.take().map(({ id }) => id),
      ['sent', 'unsent'],
    );
    queue.accepted([
      { ref: 2, id: 'unsent' },
      { ref: 2, id: 'unsent' },
      { ref: 1, id: 'sent' },
    ]);
    assert.deepEqual([ended, queue.size], [['unsent', 'sent'], 0]);
  });
});
