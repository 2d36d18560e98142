/** Who calls this node, and as which agents they may act. */

import { type Caller, createTokenVerifier, type TokenVerifier } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { callerOf, type RpcContext } from '@fleetwire/rpc';
import type { AgentBook } from '../agents/agent-book.ts';
import { agentOfToken, isAgentToken, sameSecret, tokenInvalid } from '../agents/agent-token.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';

export type NodeCaller =
  | { readonly kind: 'admin' }
  | { readonly kind: 'agent'; readonly localId: string }
  | { readonly kind: 'user'; readonly subject: string; readonly scopes: readonly string[] };

export type NodeContext = RpcContext<NodeCaller>;

export interface CallersParts {
  readonly org: string;
  readonly adminToken: string;
  readonly agentSecret: string;
  readonly book: AgentBook;
  /** JSON Web Key Set of the org's token signers; '' before the first HELLO. */
  trust(): string;
  /** Gets the trust anew where that may help: keys change, and HELLO is long ago. Resolves at once when it was tried lately. */
  renewTrust(): Promise<void>;
  /** Why a good token of the org is refused all the same. */
  refusal(caller: Caller): FleetwireError | undefined;
}

export class Callers {
  readonly #parts: CallersParts;
  #verifier: TokenVerifier | undefined;
  #verifierOf = '';

  constructor(parts: CallersParts) {
    this.#parts = parts;
  }

  /** Throws unauthenticated TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED or ORG_CLOSED. */
  async authenticate(bearer: string): Promise<NodeCaller> {
    if (sameSecret(bearer, this.#parts.adminToken)) return { kind: 'admin' };
    if (isAgentToken(bearer)) {
      return {
        kind: 'agent',
        localId: agentOfToken(this.#parts.agentSecret, bearer, this.#parts.book).localId,
      };
    }
    const caller = await this.#verified(bearer);
    if (caller.kind !== 'user' || caller.org !== this.#parts.org) throw tokenInvalid();
    const refused = this.#parts.refusal(caller);
    if (refused !== undefined) throw refused;
    return { kind: 'user', subject: caller.subject, scopes: caller.scopes };
  }

  /** A token by a key that is newer than the last HELLO is good as well. */
  async #verified(bearer: string): Promise<Caller> {
    const trust = this.#parts.trust();
    try {
      return await this.#verifierBy(trust).verify(bearer);
    } catch (error) {
      if ((error as FleetwireError).reason !== 'TOKEN_INVALID') throw error;
      await this.#parts.renewTrust();
      if (this.#parts.trust() === trust) throw error;
      return this.#verifierBy(this.#parts.trust()).verify(bearer);
    }
  }

  #verifierBy(trust: string): TokenVerifier {
    if (trust === '') throw tokenInvalid();
    if (this.#verifier === undefined || this.#verifierOf !== trust) {
      this.#verifier = createTokenVerifier(JSON.parse(trust));
      this.#verifierOf = trust;
    }
    return this.#verifier;
  }

  /** The agent that this call acts as; agents as themselves only. Throws PERMISSION_DENIED or AGENT_NOT_HERE. */
  actsAs(context: NodeContext, name: string): HostedAgent {
    const caller = this.allowed(context, 'send');
    if (caller.kind !== 'agent') return this.#parts.book.named(name);
    const agent = this.self(caller);
    const other = name !== '' && this.#parts.book.byName(name) !== agent;
    if (other) throw denied(`agent ${agent.name} cannot act as another one`);
    return agent;
  }

  /** The agent of an agent's token. */
  self(caller: NodeCaller & { kind: 'agent' }): HostedAgent {
    const agent = this.#parts.book.byLocalId(caller.localId);
    if (agent === undefined) throw tokenInvalid();
    return agent;
  }

  /** Throws unless the caller may do what needs `scope`. */
  allowed(context: NodeContext, scope: 'send' | 'admin'): NodeCaller {
    const caller = callerOf(context);
    if (caller.kind === 'admin') return caller;
    if (caller.kind === 'agent') {
      if (scope === 'send') return caller;
      throw denied('agents cannot do this');
    }
    if (caller.scopes.includes(scope) || caller.scopes.includes('admin')) return caller;
    throw denied(`the token lacks the scope ${scope}`);
  }
}

function denied(message: string): FleetwireError {
  return new FleetwireError('permission_denied', 'PERMISSION_DENIED', message, {
    help: 'Use a token that may, such as the admin token in the folder of the node.',
  });
}
