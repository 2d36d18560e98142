/** Who may use the tools over HTTP, and as which agent: by the agent's own token, from this machine's names only. */

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { FleetwireError } from '@fleetwire/kernel';
import { AgentDoor, type Introduced } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';

interface Held {
  readonly door: AgentDoor;
  /** Monotonic milliseconds of its last request. */
  lastMs: number;
}

export class HttpAccess {
  readonly #introduction: (token: string) => () => Promise<Introduced>;
  /** By the hash of the token: what is looked up does not depend on time. */
  readonly #held = new Map<string, Held>();

  constructor(introduction: (token: string) => () => Promise<Introduced>) {
    this.#introduction = introduction;
  }

  /** Rejects TOKEN_MISSING, TOKEN_INVALID; TOO_MANY_AGENTS; and as unavailable when nobody can tell. */
  async doorOf(request: IncomingMessage): Promise<AgentDoor> {
    const token = /^Bearer ([\x21-\x7e]{1,4096})$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined)
      throw new FleetwireError('unauthenticated', 'TOKEN_MISSING', 'the request carries no token', {
        help: "Send the agent's token: Authorization: Bearer TOKEN. It is printed by: fleetwire agent token NAME",
      });
    const key = createHash('sha256').update(token).digest('base64');
    const held = this.#held.get(key) ?? this.#hold(key, token);
    try {
      // Known already, or asked of the node.
      await held.door.introduced();
    } catch (error) {
      const known = held.door.known !== undefined;
      if (known && (error as FleetwireError).kind === 'unavailable') return this.#used(key, held);
      this.#drop(key, held);
      throw error;
    }
    return this.#used(key, held);
  }

  /** Ends what was not used for `idleMs`, and is not used now. */
  sweep(idleMs: number, isUsed: (door: AgentDoor) => boolean): void {
    for (const [key, held] of this.#held)
      if (performance.now() - held.lastMs > idleMs && !isUsed(held.door)) this.#drop(key, held);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#held.values()].map(({ door }) => door.close()));
  }

  #hold(key: string, token: string): Held {
    if (this.#held.size >= MCP_LIMITS.agents)
      throw new FleetwireError(
        'resource_exhausted',
        'TOO_MANY_AGENTS',
        `${MCP_LIMITS.agents} agents are served`,
        {
          help: 'Start another server for the others.',
          retryAfterMs: 60_000,
        },
      );
    const held = { door: new AgentDoor(this.#introduction(token)), lastMs: performance.now() };
    this.#held.set(key, held);
    return held;
  }

  #used(key: string, held: Held): AgentDoor {
    held.lastMs = performance.now();
    this.#held.set(key, held);
    return held.door;
  }

  #drop(key: string, held: Held): void {
    if (this.#held.get(key) === held) this.#held.delete(key);
    void held.door.close();
  }
}

/** A browser that was told a wrong address for a name sends that name along. Throws HOST_REFUSED, ORIGIN_REFUSED. */
export function checkOrigin({ headers }: IncomingMessage, allowed: readonly string[]): void {
  const host = hostnameOf(`http://${headers.host ?? ''}`);
  if (host === undefined || !(isIP(bare(host)) > 0 || [...allowed, 'localhost'].includes(host)))
    throw refusedHost('HOST_REFUSED', 'the name by which it is called');
  if (headers.origin === undefined) return;
  const origin = hostnameOf(headers.origin);
  if (origin === undefined || !(isLoopback(origin) || allowed.includes(origin)))
    throw refusedHost('ORIGIN_REFUSED', 'the page that sends this');
}

const refusedHost = (reason: string, what: string) =>
  new FleetwireError('permission_denied', reason, `${what} is not one that this server is meant for`, {
    help: 'Call it by its address, or name the host at its start with --allow-host.',
  });

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

/** Can only this machine mean it? */
export const isLoopback = (host: string): boolean => /^(127\.\d+\.\d+\.\d+|localhost|::1)$/.test(bare(host));
