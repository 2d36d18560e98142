/** Accepts one message of an agent: resolves when it is on the disk, rejects when it is refused. */

import type { Outgoing } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Engine } from '../engine.ts';
import type { Accepted } from './acceptance.ts';

const EMPTY: Outgoing = {
  ref: 0,
  id: '',
  to: '',
  body: new Uint8Array(),
  contentType: '',
  correlationId: '',
  replyTo: '',
  ttlMs: 0,
  traceparent: '',
  priority: 0,
  answerWithinMs: 0,
  cancels: '',
};

export async function sendOnce(
  engine: Engine,
  agent: HostedAgent,
  outgoing: Partial<Outgoing>,
): Promise<Accepted> {
  const result = await engine.turns.run(() => {
    try {
      return engine.acceptance.accept(agent, { ...EMPTY, ...outgoing });
    } catch (error) {
      // A refusal of this message is no reason to undo the others of the turn.
      if (error instanceof FleetwireError) return error;
      throw error;
    }
  });
  if (result instanceof FleetwireError) throw result;
  return result;
}
