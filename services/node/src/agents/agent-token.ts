/** Tokens of this node's agents: derived from the node's secret, so that nothing has to be stored to check one. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { AgentBook } from './agent-book.ts';
import type { HostedAgent } from './hosted-agent.ts';

const PREFIX = 'fwa_';

/** Good until the agent is removed or gets another program. */
export function agentToken(secret: string, agent: Pick<HostedAgent, 'localId' | 'tokenEpoch'>): string {
  const { localId, tokenEpoch } = agent;
  const mac = createHmac('sha256', secret).update(`${localId}\n${tokenEpoch}`).digest('base64url');
  return `${PREFIX}${localId}.${mac}`;
}

export function isAgentToken(token: string): boolean {
  return token.startsWith(PREFIX);
}

/** The agent that a token is of; throws TOKEN_INVALID. */
export function agentOfToken(secret: string, token: string, book: AgentBook): HostedAgent {
  const agent = book.byLocalId(token.slice(PREFIX.length, token.indexOf('.')));
  if (agent !== undefined && sameSecret(token, agentToken(secret, agent))) return agent;
  throw tokenInvalid();
}

/** In a time that does not depend on where two secrets differ. */
export function sameSecret(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

export function tokenInvalid(): FleetwireError {
  return new FleetwireError('unauthenticated', 'TOKEN_INVALID', 'the token is not valid on this node', {
    help: 'Use the token that the node gave to this agent, or sign in again.',
  });
}
