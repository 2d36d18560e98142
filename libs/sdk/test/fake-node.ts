// A small NodeService for these tests: accepts what is sent, delivers what it holds, and keeps both over restarts.

import type {
  AttachHello,
  Delivery,
  DeliveryAck,
  DirectoryRequest,
  DirectoryResponse,
  Outgoing,
} from '@fleetwire/gen/node';
import { type AttachRequest, type AttachResponse, NodeServiceDefinition } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { bindService, type RpcContext, type RpcServer, startRpcServer } from '@fleetwire/rpc';
import { type Agent, type ConnectOptions, connect } from '@fleetwire/sdk';

interface Box {
  sequence: number;
  readonly held: Map<number, Delivery>;
  /** Sequences that were sent to a client. */
  sent: number;
  /** The highest that was ever sent to a client: what is beyond cannot be acknowledged. */
  attempted: number;
  wake: () => void;
}

export const bytes = (body: string) => new Uint8Array(Buffer.from(body));

const missing = async (): Promise<never> => {
  throw new Error('the fake has no such method');
};

export class FakeNode {
  /** Of any of these nodes: what is to be closed at the end of the test. */
  static readonly attached: Agent[] = [];
  readonly accepted: Outgoing[] = [];
  readonly acks: DeliveryAck[] = [];
  frames = 0;
  /** Answers to sends are withheld. */
  silent = false;
  /** Sessions are refused for now; the moments of it, in milliseconds. */
  full = false;
  readonly turnedAway: number[] = [];
  refuse: (message: Outgoing) => { kind: string; reason: string; retryAfterMs?: number } | undefined = () =>
    undefined;
  node = 'n_0000000000000000';
  token = '';
  /** Whose token it is. */
  tokenOf = '';
  hellos = 0;
  lastHello: AttachHello | undefined;
  /** Instead of one that is made of the name. */
  agentId: string | undefined;
  goodbye: string | undefined;
  /** Said to whoever is attached, once each. */
  readonly say: AttachResponse[] = [];
  directory: (pageToken: string) => Partial<DirectoryResponse> = () => ({});
  #ids = new Set<string>();
  #boxes = new Map<string, Box>();
  #server: RpcServer | undefined;
  #port = 0;

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    const others = {
      send: missing,
      waitMessage: missing,
      readInbox: missing,
      runAgent: missing,
      stopAgent: missing,
      agentToken: missing,
      listLocalAgents: missing,
      nodeStatus: missing,
      directory: async ({ pageToken }: DirectoryRequest) => this.directory(pageToken),
    };
    const attach = (requests: AsyncIterable<AttachRequest>, context: RpcContext) =>
      this.#attach(requests, context);
    this.#server = await startRpcServer({
      listen: `127.0.0.1:${this.#port}`,
      services: [
        bindService(NodeServiceDefinition, { attach, ...others }, { auth: this.token ? 'required' : 'none' }),
      ],
      authenticate: async (bearer) => {
        if (bearer !== this.token) throw new FleetwireError('unauthenticated', 'TOKEN_INVALID', 'no');
        return {};
      },
      log: { debug: () => undefined, error: () => undefined },
    });
    this.#port = Number(this.#server.address.split(':').at(-1));
    return this;
  }

  startAt(address: string): Promise<this> {
    this.#port = Number(address.split(':').at(-1));
    return this.start();
  }

  async attach(name: string, options: ConnectOptions = {}): Promise<Agent> {
    const agent = await connect({ address: this.address, token: '', name, ...options });
    FakeNode.attached.push(agent);
    return agent;
  }

  /** When the test is over. */
  async end(): Promise<void> {
    this.silent = false;
    await Promise.all(FakeNode.attached.splice(0).map((agent) => agent.close()));
    await this.kill();
  }

  /** As by kill -9: connections break, what was accepted stays. */
  async kill(): Promise<void> {
    await this.#server?.close();
  }

  box(name: string): Box {
    let box = this.#boxes.get(name);
    if (box === undefined) {
      box = { sequence: 0, held: new Map(), sent: 0, attempted: 0, wake: () => undefined };
      this.#boxes.set(name, box);
    }
    return box;
  }

  deliver(name: string, message: Pick<Outgoing, 'id' | 'body'> & Partial<Outgoing>, from = 'bob'): void {
    const box = this.box(name);
    box.sequence += 2;
    const { sequence } = box;
    box.held.set(sequence, {
      sequence,
      fromAgent: 'a_0000000000000000',
      fromName: from,
      to: name,
      contentType: '',
      correlationId: message.id,
      replyTo: '',
      traceparent: '',
      acceptedAtUs: 0,
      priority: 0,
      answerByUs: message.answerWithinMs ? 1 : 0,
      answerLeftMs: message.answerWithinMs ?? 0,
      ...message,
    });
    box.wake();
  }

  async *#attach(
    requests: AsyncIterable<AttachRequest>,
    context: RpcContext,
  ): AsyncGenerator<AttachResponse> {
    const iterator = requests[Symbol.asyncIterator]();
    const { hello } = (await iterator.next()).value as AttachRequest;
    if (this.full) {
      this.turnedAway.push(performance.now());
      throw new FleetwireError('resource_exhausted', 'TOO_MANY_SESSIONS', 'full');
    }
    this.hellos++;
    this.lastHello = hello;
    const name = hello!.name || this.tokenOf;
    const box = this.box(name);
    const out: AttachResponse[] = [];
    let ended = false;
    const wake = () => box.wake();
    context.signal.addEventListener('abort', () => {
      ended = true;
      wake();
    });
    const acknowledge = (ack: DeliveryAck) => {
      this.acks.push(ack);
      for (const sequence of box.held.keys()) {
        if (sequence > Math.min(ack.upTo, box.attempted)) break;
        box.held.delete(sequence);
      }
      for (const sequence of ack.also) box.held.delete(sequence);
    };
    if (hello!.resume !== undefined) acknowledge(hello!.resume);
    box.sent = 0;
    void (async () => {
      for (;;) {
        const next = await iterator.next();
        if (next.done) break;
        this.frames++;
        if (next.value.ack) acknowledge(next.value.ack);
        for (const message of next.value.send?.messages ?? []) out.push(this.#accept(message, name));
        wake();
      }
      ended = true;
      wake();
    })().catch(() => undefined);
    yield {
      welcome: {
        agent: this.agentId ?? `a_${name}`,
        name,
        node: this.node,
        nodeName: 'fake',
        session: this.hellos,
        localId: `l_${name}`,
      },
    };
    while (!ended || out.length > 0) {
      if (this.goodbye !== undefined) {
        yield { goodbye: { reason: this.goodbye, message: '' } };
        return;
      }
      const batch = nextBatch(box, hello!.window);
      const said = this.say.shift();
      if (said !== undefined) yield said;
      else if (batch.length > 0) {
        box.sent = batch.at(-1)!.sequence;
        box.attempted = Math.max(box.attempted, box.sent);
        yield { deliver: { deliveries: batch } };
      } else if (out.length > 0 && !this.silent) yield* gathered(out.splice(0));
      else if (ended) return;
      else await new Promise<void>((resolve) => (box.wake = resolve));
    }
  }

  #accept(message: Outgoing, from: string): AttachResponse {
    const refusal = this.refuse(message);
    if (refusal !== undefined)
      return {
        refused: { ref: message.ref, message: 'refused', help: 'wait', retryAfterMs: 0, ...refusal },
      };
    if (!this.#ids.has(message.id)) {
      this.#ids.add(message.id);
      this.accepted.push(message);
      if (this.#boxes.has(message.to)) this.deliver(message.to, message, from);
    }
    return { accepted: { accepted: [{ ref: message.ref, id: message.id }] } };
  }
}

/** What is not yet sent of the first `window` that are held. */
function nextBatch(box: Box, window: number): Delivery[] {
  const batch: Delivery[] = [];
  let seen = 0;
  for (const delivery of box.held.values()) {
    if (++seen > window) break;
    if (delivery.sequence > box.sent) batch.push(delivery);
  }
  return batch;
}

/** Acceptances in a row as one answer, as a node does. */
function* gathered(answers: readonly AttachResponse[]): Generator<AttachResponse> {
  let last: AttachResponse | undefined;
  for (const answer of answers) {
    if (answer.accepted !== undefined && last?.accepted !== undefined)
      last.accepted.accepted.push(...answer.accepted.accepted);
    else {
      if (last !== undefined) yield last;
      last = answer;
    }
  }
  if (last !== undefined) yield last;
}
