/** One agent's way to its node: found and introduced when it is needed, and again whenever the node was lost. */

import type { Delivery, ReadInboxRequest } from '@fleetwire/gen/node';
import { backoffMs, FleetwireError, keepNewest, pause } from '@fleetwire/kernel';
import { connectNode, type NodeClient } from '../local-nodes.ts';
import { MCP_LIMITS } from './limits.ts';

/** As whom the node knows the agent, and by what it proves that. */
export interface Introduced {
  readonly address: string;
  /** The agent's own. */
  readonly token: string;
  readonly id: string;
  readonly name: string;
}

interface Open {
  readonly node: NodeClient;
  readonly self: Introduced;
}

export interface Mail {
  readonly deliveries: readonly Delivery[];
  /** How many more wait. */
  readonly remaining: number;
}

/** What makes the node unknown again: it is elsewhere, or the agent has another token by now. */
const LOST: readonly string[] = ['PEER_UNREACHABLE', 'TOKEN_INVALID'];

export class AgentDoor {
  readonly #introduce: () => Promise<Introduced>;
  #open: Promise<Open> | undefined;
  #known: Introduced | undefined;
  /** Ids that the client has and the node was not told of yet. */
  readonly #unconfirmed = new Map<string, true>();
  #confirming: Promise<void> | undefined;
  readonly #over = new AbortController();

  /** `introduce` is asked again after the node was lost; it rejects with why there is none. */
  constructor(introduce: () => Promise<Introduced>) {
    this.#introduce = introduce;
  }

  /** Undefined before the node was reached for the first time. */
  get known(): Introduced | undefined {
    return this.#known;
  }

  get closed(): AbortSignal {
    return this.#over.signal;
  }

  /** The call is made again, once, when the node was lost: so it must have its effect once. Rejects as it does. */
  async call<T>(make: (node: NodeClient, self: Introduced) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const opening = this.#opened();
      const { node, self } = await opening;
      try {
        return await make(node, self);
      } catch (error) {
        if (!(error instanceof FleetwireError) || !LOST.includes(error.reason)) throw error;
        if (this.#open === opening) this.#open = undefined;
        node.close();
        if (attempt > 0 || this.#over.signal.aborted) throw error;
      }
    }
  }

  self(): Promise<Introduced> {
    return this.call((_node, self) => Promise.resolve(self));
  }

  /** Mail that waits, without what this client has already; nobody else is given it for `holdMs`. */
  async look(
    request: Pick<ReadInboxRequest, 'limit' | 'replyTo' | 'holdMs'>,
    waitMs: number,
    signal: AbortSignal,
  ) {
    const { deliveries, remaining } = await this.call((node) =>
      node.readInbox(
        { ...request, waitMs, peek: true },
        { deadlineMs: waitMs + MCP_LIMITS.callMs, signal: AbortSignal.any([signal, this.#over.signal]) },
      ),
    );
    return { deliveries: deliveries.filter(({ id }) => !this.#unconfirmed.has(id)), remaining };
  }

  /** How many messages wait to be read. */
  async waiting(): Promise<number> {
    const { deliveries, remaining } = await this.look(
      { limit: 1, replyTo: '', holdMs: 0 },
      0,
      this.#over.signal,
    );
    return deliveries.length + remaining;
  }

  /** The client has them: the node is told, and again until it hears it or this ends. */
  confirm(ids: readonly string[]): void {
    for (const id of ids) this.#unconfirmed.set(id, true);
    keepNewest(this.#unconfirmed, MCP_LIMITS.unconfirmed);
    this.#confirming ??= this.#confirmAll().finally(() => {
      this.#confirming = undefined;
      if (this.#unconfirmed.size > 0 && !this.#over.signal.aborted) this.confirm([]);
    });
  }

  async #confirmAll(): Promise<void> {
    for (let attempt = 0; this.#unconfirmed.size > 0 && !this.#over.signal.aborted; ) {
      const confirm = [...this.#unconfirmed.keys()].slice(0, 500);
      try {
        await this.call((node) => node.readInbox({ confirm }, { deadlineMs: MCP_LIMITS.callMs }));
        for (const id of confirm) this.#unconfirmed.delete(id);
        attempt = 0;
      } catch {
        await pause(backoffMs(MCP_LIMITS.backoff, attempt++), this.#over.signal);
      }
    }
  }

  /** Tells the node what the client has, for a moment, then ends. */
  async close(): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.#confirming, pause(MCP_LIMITS.closeMs, late.signal)]);
    late.abort();
    this.#over.abort();
    const open = await this.#open?.catch(() => undefined);
    open?.node.close();
  }

  #opened(): Promise<Open> {
    this.#open ??= this.#introduce().then(
      (self) => {
        this.#known = self;
        return { self, node: connectNode({ address: self.address, adminToken: self.token }) };
      },
      (error) => {
        this.#open = undefined;
        throw error;
      },
    );
    return this.#open;
  }
}
