/**
 * Stripe's API as far as billing uses it, on a local port: customers, subscriptions, idempotency keys as Stripe keeps
 * them, and faults on demand. It is driven by the real library, and answers in the shapes that the library expects.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Form, parseForm } from './stripe-form.ts';
import { type Answer, refusal, StripeModel } from './stripe-model.ts';

export const SECRET_KEY = 'sk_test_double_4f9a';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly key: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** What goes wrong: an error instead of, or after, the work; no answer, or one that is held back. */
export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly code?: string; readonly worked?: boolean }
  | { readonly kind: 'reset' | 'hang'; readonly worked: boolean }
  | { readonly kind: 'hold'; readonly worked: boolean };

interface Planned {
  readonly fault: Fault;
  readonly match: RegExp;
  left: number;
  readonly released: Promise<void>;
  readonly reached: () => void;
}

/** A fault that was asked for; a hold ends with `release`. */
export interface FaultHandle {
  /** Resolves when a request has met it. */
  readonly reached: Promise<void>;
  release(): void;
}

export class StripeDouble implements AsyncDisposable {
  readonly model = new StripeModel();
  readonly requests: Request[] = [];
  readonly #saved = new Map<string, { readonly asked: string; answer: Answer | undefined }>();
  readonly #planned: Planned[] = [];
  readonly #releases: (() => void)[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  static async start(): Promise<StripeDouble> {
    const double = new StripeDouble();
    await new Promise<void>((resolve) => double.#server.listen(0, '127.0.0.1', resolve));
    return double;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next `times` requests whose "METHOD /path" matches meet the fault. */
  fail(match: RegExp, fault: Fault, times = 1): FaultHandle {
    const release = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    this.#releases.push(release.resolve);
    this.#planned.push({ fault, match, left: times, released: release.promise, reached: reached.resolve });
    return { reached: reached.promise, release: release.resolve };
  }

  /** No fault any more; what is held back goes on. */
  heal(): void {
    this.#planned.length = 0;
    for (const release of this.#releases.splice(0)) release();
  }

  /** As after a day. */
  forgetKeys(): void {
    this.#saved.clear();
  }

  asked(match: RegExp): Request[] {
    return this.requests.filter(({ method, path }) => match.test(`${method} ${path}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const url = new URL(incoming.url!, 'http://stripe.test');
    const request: Request = {
      method: incoming.method!,
      path: url.pathname,
      body: incoming.method === 'POST' ? body : url.search.slice(1),
      key: incoming.headers['idempotency-key'] as string | undefined,
      headers: incoming.headers,
    };
    this.requests.push(request);
    const planned = this.#plannedFor(request);
    const fault = planned?.fault;
    planned?.reached();
    const worked = fault === undefined || fault.worked === true;
    const hold = fault?.kind === 'hold' ? planned!.released : undefined;
    if (hold && !worked) await hold;
    const instead = fault?.kind === 'answer' ? refusal(fault.status, fault.code ?? 'api_error') : undefined;
    const answer = await this.#answer(
      request,
      worked || hold !== undefined,
      instead,
      hold && worked ? hold : undefined,
    );
    if (fault?.kind === 'reset') {
      incoming.socket.destroy();
      return;
    }
    if (fault?.kind === 'hang') return;
    send(response, answer);
  }

  #plannedFor(request: Request): Planned | undefined {
    const name = `${request.method} ${request.path}`;
    const found = this.#planned.find((planned) => planned.left > 0 && planned.match.test(name));
    if (found) found.left--;
    return found;
  }

  /** https://docs.stripe.com/api/idempotent_requests: what began to be executed is repeated, errors of the server too. */
  async #answer(
    request: Request,
    work: boolean,
    instead: Answer | undefined,
    held: Promise<void> | undefined,
  ): Promise<Answer> {
    if (request.headers.authorization !== `Bearer ${SECRET_KEY}`) return refusal(401, 'invalid_api_key');
    const asked = `${request.method} ${request.path} ${request.body}`;
    const key = request.method === 'POST' ? request.key : undefined;
    const saved = key === undefined ? undefined : this.#saved.get(key);
    if (saved && saved.asked !== asked) return refusal(400, 'idempotency_error');
    if (saved) return saved.answer ?? refusal(409, 'idempotency_key_in_use');
    const entry: { readonly asked: string; answer: Answer | undefined } = { asked, answer: undefined };
    if (key !== undefined) this.#saved.set(key, entry);
    const done = work ? this.#work(request) : undefined;
    const answer = instead ?? done ?? refusal(500, 'api_error');
    if (held) await held;
    const begun = answer.status !== 429 && (work || instead !== undefined);
    if (begun) entry.answer = answer;
    else if (key !== undefined) this.#saved.delete(key);
    return answer;
  }

  #work({ method, path, body }: Request): Answer {
    const form: Form = parseForm(body);
    const { model } = this;
    const id = /^\/v1\/(?:customers|subscriptions)\/([^/]+)$/.exec(path)?.[1] ?? '';
    if (path === '/v1/customers/search') return model.searchCustomers(String(form['query']));
    if (path === '/v1/customers') return model.createCustomer(form);
    if (path.startsWith('/v1/customers/'))
      return method === 'GET' ? model.readCustomer(id) : model.updateCustomer(id, form);
    if (path === '/v1/subscriptions')
      return method === 'GET'
        ? model.listSubscriptions(String(form['customer']))
        : model.createSubscription(form);
    if (path.startsWith('/v1/subscriptions/')) {
      if (method === 'GET') return model.readSubscription(id);
      return method === 'DELETE' ? model.cancelSubscription(id, form) : model.updateSubscription(id, form);
    }
    return refusal(404, 'url_invalid');
  }
}

function send(response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  response.writeHead(answer.status, { 'content-type': 'application/json', 'request-id': 'req_double' });
  response.end(JSON.stringify(answer.body));
}
