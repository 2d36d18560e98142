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

const TAKEN_BACK = (id: string) =>
  `${id}, which you have read, was taken back by its sender: nobody waits for an answer`;
const TOO_LATE = (id: string) =>
  `${id}, which you have read, had its end before: its sender may not know of you, and another reader may have it too`;

export class AgentDoor {
  readonly #introduce: () => Promise<Introduced>;
  readonly #connect: typeof connectNode;
  #open: Promise<Open> | undefined;
  #known: Introduced | undefined;
  /** Ids that the client has and the node was not told of yet. */
  readonly #unconfirmed = new Map<string, true>();
  #confirming: Promise<void> | undefined;
  readonly #returning = new Set<Promise<void>>();
  readonly #news: string[] = [];
  readonly #over = new AbortController();

  /** `introduce` is asked again after the node was lost; it rejects with why there is none. */
  constructor(introduce: () => Promise<Introduced>, connect = connectNode) {
    this.#introduce = introduce;
    this.#connect = connect;
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

  /** As whom the node has introduced it; asked of a node only when there is none at the moment. */
  introduced(): Promise<Introduced> {
    return this.call((_node, self) => Promise.resolve(self));
  }

  /** The agent as the node knows it now: a token that is good no more is refused. */
  self(): Promise<Pick<Introduced, 'id' | 'name'>> {
    return this.call(async (node) => {
      const { agent: id, name } = await node.agentToken({}, { deadlineMs: MCP_LIMITS.callMs });
      return { id, name };
    });
  }

  /** Mail that waits, without what this client has already; nobody else is given it for `holdMs`. */
  async look(
    request: Pick<ReadInboxRequest, 'limit' | 'replyTo' | 'holdMs'>,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Mail> {
    const until = performance.now() + waitMs;
    const over = AbortSignal.any([signal, this.#over.signal]);
    for (;;) {
      // What the client has would take the place of what it has not.
      await this.#confirmKnown(over);
      const leftMs = Math.max(0, Math.ceil(until - performance.now()));
      const { deliveries, remaining } = await this.call((node) =>
        node.readInbox(
          { ...request, waitMs: leftMs, peek: true },
          { deadlineMs: leftMs + MCP_LIMITS.callMs, signal: over },
        ),
      );
      const unread = deliveries.filter(({ id }) => !this.#unconfirmed.has(id));
      if (unread.length > 0 || deliveries.length === 0) return { deliveries: unread, remaining };
    }
  }

  /** Of what was shown, for `holdMs` from now on. What fails is tried again by the next one, or the hold ends by itself. */
  async hold(ids: readonly string[], holdMs: number, signal?: AbortSignal): Promise<void> {
    const options = { deadlineMs: MCP_LIMITS.callMs, ...(signal === undefined ? {} : { signal }) };
    const request = { hold: [...ids], renewMs: holdMs, peek: true, limit: 1 };
    await this.call((node) => node.readInbox(request, options)).catch(() => undefined);
  }

  /** The client did not get them: they are anybody's again. */
  giveBack(ids: readonly string[]): void {
    const returning = this.hold(ids, 0).finally(() => this.#returning.delete(returning));
    this.#returning.add(returning);
  }

  /** What the client is to be told of messages that it has read, each once. */
  takeNews(): string[] {
    return this.#news.splice(0);
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
      try {
        await this.#confirmKnown(this.#over.signal);
        attempt = 0;
      } catch {
        await pause(backoffMs(MCP_LIMITS.backoff, attempt++), this.#over.signal);
      }
    }
  }

  /** All that the client has so far. */
  async #confirmKnown(signal: AbortSignal): Promise<void> {
    while (this.#unconfirmed.size > 0) {
      const confirm = [...this.#unconfirmed.keys()].slice(0, MCP_LIMITS.idsOfCall);
      const options = { deadlineMs: MCP_LIMITS.callMs, signal };
      const { tooLate, cancelled } = await this.call((node) => node.readInbox({ confirm }, options));
      // Of two calls at the same time the first one tells.
      const isNews = (id: string) => this.#unconfirmed.has(id);
      this.#news.push(...cancelled.filter(isNews).map(TAKEN_BACK), ...tooLate.filter(isNews).map(TOO_LATE));
      this.#news.splice(0, this.#news.length - MCP_LIMITS.news);
      for (const id of confirm) this.#unconfirmed.delete(id);
    }
  }

  /** Tells the node what the client has, for a moment, then ends. */
  async close(): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      Promise.all([this.#confirming, ...this.#returning]),
      pause(MCP_LIMITS.closeMs, late.signal),
    ]);
    late.abort();
    this.#over.abort();
    const open = await this.#open?.catch(() => undefined);
    open?.node.close();
  }

  #opened(): Promise<Open> {
    this.#open ??= this.#introduce().then(
      (self) => {
        this.#known = self;
        return { self, node: this.#connect({ address: self.address, adminToken: self.token }) };
      },
      (error) => {
        this.#open = undefined;
        throw error;
      },
    );
    return this.#open;
  }
}
