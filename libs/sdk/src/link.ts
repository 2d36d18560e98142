/** Keeps an agent attached to its node: one session after the other, each going on where the last one ended. */

import { ERROR_TABLE } from '@fleetwire/contract';
import type { Receipt } from '@fleetwire/gen/message';
import type {
  AttachGoodbye,
  AttachHello,
  AttachResponse,
  AttachWelcome,
  QueueSettings,
} from '@fleetwire/gen/node';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import type { AgentProfile } from '@fleetwire/gen/registry';
import { asFleetwireError, backoffMs, FleetwireError, invariant, pause } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import type { Asks } from './asks.ts';
import type { Inbox } from './inbox.ts';
import { SDK_LIMITS } from './limits.ts';
import type { Questions } from './questions.ts';
import type { ReceiptFeed } from './receipt-feed.ts';
import { Requests } from './requests.ts';
import type { SendQueue } from './send-queue.ts';
import type { Settings } from './settings.ts';

export interface LinkParts {
  readonly settings: Settings;
  readonly window: number;
  readonly receipts: boolean;
  /** At the first session: deliver again what an earlier process has not acknowledged. */
  readonly redeliver: boolean;
  /** What the agent says of itself; undefined: what is known stays. */
  readonly profile: AgentProfile | undefined;
  /** Take it over from a node that is away. */
  readonly takeOver: boolean;
  /** How much may wait for it; undefined: what is known stays. */
  readonly queue: QueueSettings | undefined;
  readonly inbox: Inbox;
  readonly sends: SendQueue;
  readonly feed: ReceiptFeed;
  readonly asks: Asks;
  readonly questions: Questions;
}

/** Goodbyes that coming back would undo, by the reason of the error: what the author of the agent may do. */
const ENDINGS: Readonly<Record<string, string>> = {
  SESSION_SUPERSEDED: 'Run one client for each agent, or give them names of their own.',
  AGENT_REMOVED: 'Connect again if the agent is to be there again.',
  AGENT_MOVED: 'Connect to the node where the agent lives now.',
};

export class Link {
  welcome: AttachWelcome | undefined;
  connected = false;
  lastError: FleetwireError | undefined;
  /** What the node last answered instead of a welcome; a node out of reach leaves it as it is. */
  lastRefusal: FleetwireError | undefined;
  readonly #parts: LinkParts;
  #client: RpcClient<NodeServiceDefinition> | undefined;
  #address = '';
  readonly #over = new AbortController();
  #requests: Requests | undefined;
  #closing = false;
  #refusals = 0;
  #attempts = 0;
  #onWelcome: (() => void) | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  /** Runs until close(), then resolves; rejects with what ended it otherwise. `onWelcome` is told the first success. */
  async run(onWelcome: () => void): Promise<void> {
    this.#onWelcome = onWelcome;
    try {
      while (!this.#closing) {
        const error = await this.#session();
        this.connected = false;
        if (this.#closing) break;
        if (error !== undefined) this.#consider(error);
        this.lastError = error;
        await pause(backoffMs(SDK_LIMITS.reconnect, this.#attempts++), this.#over.signal);
      }
    } finally {
      this.#client?.close();
    }
  }

  /** For calls beside the session. There is one once it has been welcome. */
  get client(): RpcClient<NodeServiceDefinition> {
    invariant(this.#client !== undefined, 'asked before the first session');
    return this.#client;
  }

  /** What is waiting still goes out, within `ms`. */
  async close(ms: number): Promise<void> {
    const until = performance.now() + ms;
    const { sends, inbox } = this.#parts;
    while ((sends.size > 0 || (this.connected && inbox.hasAck)) && performance.now() < until) await pause(5);
    this.#closing = true;
    if (!this.connected) return this.abort();
    this.#requests?.close();
    setTimeout(() => this.#over.abort(), Math.max(1, until - performance.now())).unref();
  }

  /** Ends at once. */
  abort(): void {
    this.#closing = true;
    this.#over.abort();
  }

  /** Throws when trying again cannot help. */
  #consider(error: FleetwireError): void {
    if (ENDINGS[error.reason] !== undefined) throw error;
    if (error.reason !== 'PEER_UNREACHABLE') this.lastRefusal = error;
    if (ERROR_TABLE[error.kind].retryable) return;
    if (this.welcome === undefined) throw error;
    // A fault on the way is no refusal: it passes, and an agent that was welcome before is worth the patience.
    if (error.kind !== 'internal' && ++this.#refusals >= SDK_LIMITS.refusals) throw error;
  }

  /** One stream from hello to its end; gives what ended it. */
  async #session(): Promise<FleetwireError | undefined> {
    const { inbox, sends } = this.#parts;
    try {
      const client = await this.#clientOf();
      this.#requests = new Requests(this.#hello(), inbox, sends);
      for await (const response of client.attach(this.#requests, { signal: this.#over.signal }))
        this.#take(response);
      return undefined;
    } catch (thrown) {
      return asFleetwireError(thrown);
    }
  }

  async #clientOf(): Promise<RpcClient<NodeServiceDefinition>> {
    const { settings } = this.#parts;
    const address = await settings.address();
    if (this.#client !== undefined && address === this.#address) return this.#client;
    this.#client?.close();
    this.#address = address;
    this.#client = createRpcClient(NodeServiceDefinition, { address, token: settings.token });
    return this.#client;
  }

  #hello(): AttachHello {
    const { inbox, settings, window, receipts, redeliver } = this.#parts;
    const { profile, takeOver, queue, feed } = this.#parts;
    const first = this.welcome === undefined;
    const resume = first && !redeliver ? undefined : inbox.resume();
    return {
      name: settings.name,
      window,
      resume,
      resuming: true,
      receipts,
      receiptsAfter: feed.cursor,
      profile,
      takeOver,
      localId: this.welcome?.localId ?? '',
      queue,
    };
  }

  #take(response: AttachResponse): void {
    const { inbox, sends, feed, questions } = this.#parts;
    if (response.deliver !== undefined) inbox.receive(response.deliver.deliveries);
    else if (response.accepted !== undefined) sends.accepted(response.accepted.accepted);
    else if (response.refused !== undefined) sends.refused(response.refused);
    else if (response.receipts !== undefined) this.#receipts(response.receipts.receipts);
    else if (response.cancelled !== undefined) questions.cancelled(response.cancelled.ids);
    else if (response.welcome !== undefined) this.#begin(response.welcome);
    else if (response.goodbye !== undefined) end(response.goodbye);
    if (response.receiptMark !== undefined) feed.mark(response.receiptMark);
  }

  /** Without `receipts` they are about questions alone. */
  #receipts(receipts: readonly Receipt[]): void {
    const { asks, feed } = this.#parts;
    if (this.#parts.receipts) feed.push(receipts);
    asks.heard(receipts);
  }

  #begin(welcome: AttachWelcome): void {
    const before = this.welcome;
    if (before !== undefined && !isSame(before, welcome)) this.#parts.inbox.forget();
    this.welcome = welcome;
    this.connected = true;
    this.#refusals = 0;
    this.#attempts = 0;
    this.#parts.sends.restart();
    this.#requests!.welcome();
    this.#onWelcome?.();
    this.#onWelcome = undefined;
  }
}

/** Throws where this client is not to come back by itself. */
function end({ reason, message }: AttachGoodbye): void {
  const stable = reason === 'SUPERSEDED' ? 'SESSION_SUPERSEDED' : reason;
  const help = ENDINGS[stable];
  if (help !== undefined) throw new FleetwireError('aborted', stable, message, { help });
}

/** Does the node go on counting this agent's deliveries where it was? Its id may be another one by now. */
function isSame(before: AttachWelcome, now: AttachWelcome): boolean {
  if (before.node !== now.node) return false;
  return now.localId === '' ? before.agent === now.agent : before.localId === now.localId;
}
