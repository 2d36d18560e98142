/**
 * Goal: whatever messages claim to answer, each is shown once, behind what it answers, and the earliest first.
 * Method: properties over made-up conversations with answers to themselves, to each other and to nobody; a very deep one.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { conversationTree, type TreeMessage } from '../src/conversation-tree.ts';

const anyConversation = fc.integer({ min: 0, max: 12 }).chain((count) =>
  fc.array(
    fc.record({ answers: fc.integer({ min: -2, max: count - 1 }), at: fc.integer({ min: 0, max: 6 }) }),
    {
      minLength: count,
      maxLength: count,
    },
  ),
);

/** -1 answers nothing, -2 something that is not there. */
const made = (shape: readonly { answers: number; at: number }[]): TreeMessage[] =>
  shape.map(({ answers, at }, i) => ({
    id: `m${i}`,
    replyTo: answers === -1 ? '' : answers === -2 ? 'gone' : `m${answers}`,
    acceptedAtUs: at,
  }));

const before = (a: TreeMessage, b: TreeMessage) =>
  a.acceptedAtUs < b.acceptedAtUs || (a.acceptedAtUs === b.acceptedAtUs && a.id <= b.id);

describe('the tree of a conversation', () => {
  it('has every message once, under what it answers, or at the top with the reason', () => {
    fc.assert(
      fc.property(anyConversation, (shape) => {
        const messages = made(shape);
        const ids = new Set(messages.map(({ id }) => id));
        const tree = conversationTree(messages);
        assert.deepEqual(tree.map((branch) => branch.message.id).sort(), [...ids].sort());
        for (const { message, depth, parent, loose } of tree) {
          assert.equal(depth === 0, parent === undefined);
          if (parent !== undefined) assert.deepEqual([parent, loose], [message.replyTo, undefined]);
          else if (message.replyTo !== '') assert.equal(loose, ids.has(message.replyTo) ? 'cycle' : 'orphan');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('goes down one level at a time, back up to any, and sisters stand by time', () => {
    fc.assert(
      fc.property(anyConversation, (shape) => {
        const path: TreeMessage[] = [];
        const last = new Map<string | undefined, TreeMessage>();
        for (const { message, depth, parent } of conversationTree(made(shape))) {
          assert.ok(depth <= path.length);
          path.length = depth;
          assert.equal(path.at(-1)?.id, parent);
          path.push(message);
          const sister = last.get(parent);
          if (sister !== undefined) assert.ok(before(sister, message));
          last.set(parent, message);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('cuts each circle once, before its earliest message', () => {
    fc.assert(
      fc.property(anyConversation, (shape) => {
        const messages = made(shape);
        const byId = new Map(messages.map((message) => [message.id, message]));
        for (const { message, loose } of conversationTree(messages)) {
          if (loose !== 'cycle') continue;
          let steps = 0;
          for (let at = byId.get(message.replyTo)!; at !== message; at = byId.get(at.replyTo)!) {
            assert.ok(before(message, at), 'an earlier one is in the circle');
            assert.ok(++steps <= messages.length, 'it is in no circle');
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('takes a chain of ten thousand, and one that ends in a circle', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => ({
      id: `m${i}`,
      replyTo: i === 0 ? '' : `m${i - 1}`,
      acceptedAtUs: i,
    }));
    assert.equal(conversationTree(chain).at(-1)?.depth, 9999);
    const closed = chain.map((message, i) => (i === 0 ? { ...message, replyTo: 'm9999' } : message));
    const tree = conversationTree(closed);
    assert.deepEqual([tree.length, tree[0]?.loose, tree.at(-1)?.depth], [10_000, 'cycle', 9999]);
  });
});
