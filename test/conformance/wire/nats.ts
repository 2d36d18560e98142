/** NATS by a bare client: stored publishes, pulls and the calls of JetStream's API that a hub needs, as docs/protocol.md says. */

import { eventually } from '@fleetwire/testkit';
import { headers, jwtAuthenticator, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Key } from './keys.ts';

export interface NatsUser {
  readonly url: string;
  readonly jwt: string;
  readonly key: Key;
  readonly inboxPrefix?: string;
}

const WAIT_MS = 10_000;

/** Gives up when it is lost: whoever wants another connection opens it. */
export function open({ url, jwt, key, inboxPrefix }: NatsUser): Promise<NatsConnection> {
  return connect({
    servers: [url],
    authenticator: jwtAuthenticator(jwt, key.seed),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    reconnect: false,
    timeout: WAIT_MS,
  });
}

/** What JetStream says about a publish. */
export interface Stored {
  readonly stream: string;
  readonly seq: number;
  readonly duplicate?: boolean;
}

/** Rejects when it is not stored. */
export async function store(
  nc: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  id: string,
): Promise<Stored> {
  const head = headers();
  head.set('Nats-Msg-Id', id);
  const answer = await nc.request(subject, bytes, { timeout: WAIT_MS, headers: head });
  const said = answer.json<Stored & { error?: { description: string } }>();
  if (said.error !== undefined) throw new Error(`not stored: ${said.error.description}`);
  return said;
}

/** The next message of a consumer; undefined when none has come within `waitMs`. */
export async function pull(nc: NatsConnection, consumer: string, waitMs = WAIT_MS): Promise<Msg | undefined> {
  const asked = JSON.stringify({ batch: 1, expires: waitMs * 1e6 });
  const subject = `$JS.API.CONSUMER.MSG.NEXT.INBOX.${consumer}`;
  // What comes has the subject that it was stored under, so one inbox shared by all requests would not know it.
  const answer = await nc.request(subject, asked, { timeout: waitMs + WAIT_MS, noMux: true });
  return answer.headers?.hasError || (answer.headers?.code ?? 0) >= 400 ? undefined : answer;
}

/** Acknowledges, and resolves when the server has it. */
export async function acknowledge(nc: NatsConnection, message: Msg): Promise<void> {
  nc.publish(message.reply!, '+ACK');
  await nc.flush();
}

/** A call of JetStream's API. */
// biome-ignore lint/suspicious/noExplicitAny: answers differ by call
export async function api(nc: NatsConnection, name: string, body: object = {}): Promise<any> {
  const answer = (await nc.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: WAIT_MS })).json<{
    error?: { description: string };
  }>();
  if (answer.error !== undefined) throw new Error(`${name}: ${answer.error.description}`);
  return answer;
}

/** What the server has said against this user, in its words, as far as it has been heard. */
export class Objections {
  readonly said: string[] = [];
  readonly #nc: NatsConnection;
  #asked = 0;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
    void this.#listen();
  }

  /** Those against what `deed` does: all are here when the last one, against what nobody may do, is. */
  async to(deed: () => void): Promise<string[]> {
    const before = this.said.length;
    const last = `nobody.may.${++this.#asked}`;
    deed();
    this.#nc.publish(last);
    await eventually(() => this.said.at(-1)?.includes(last));
    return this.said.slice(before, -1);
  }

  async #listen(): Promise<void> {
    for await (const state of this.#nc.status())
      if (state.type === 'error') this.said.push(String(state.error));
  }
}
