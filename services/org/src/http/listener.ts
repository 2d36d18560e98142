/** The HTTP listener as a component: invite pages, billing webhooks, published keys. */

import { type HttpHop, type HttpServer, startHttpServer } from '@fleetwire/http';
import type { Clock } from '@fleetwire/kernel';
import { type Logger, runWithTrace } from '@fleetwire/telemetry';
import type { OrgConfig } from '../config.ts';
import { linkBase, trustedProxies } from './config.ts';
import { peerLimit } from './peer-limit.ts';
import type { OrgHttpPorts } from './ports.ts';
import { routes } from './routes.ts';

export interface ListenerOptions {
  readonly config: OrgConfig;
  readonly ports: OrgHttpPorts;
  readonly log: Logger;
  readonly hop: HttpHop;
  readonly clock: Clock;
  readonly graceMs: number;
}

export class HttpListener {
  readonly name = 'http';
  readonly #o: ListenerOptions;
  #server: HttpServer | undefined;

  constructor(options: ListenerOptions) {
    this.#o = options;
  }

  /** Rejects failed_precondition LISTEN_FAILED. */
  async start(): Promise<void> {
    const { config, ports, log, hop, clock } = this.#o;
    const limit = peerLimit({
      burst: config.invite_rate_burst,
      perMinute: config.invite_rate_per_minute,
      clock,
    });
    this.#server = await startHttpServer({
      listen: config.http_listen,
      routes: routes(ports, limit),
      log,
      hop,
      runWithTrace,
      bodyBytesMax: config.http_body_bytes_max,
      requestTimeoutMs: config.http_request_timeout_ms,
      connectionsMax: config.http_connections_max,
      trustedProxies: trustedProxies(config.http_trusted_proxies),
    });
    log.info({ address: this.#server.address }, 'invites and webhooks are answered');
  }

  async stop(): Promise<void> {
    await this.#server?.stop(this.#o.graceMs);
  }

  /** `host:port`; empty until it has started. */
  get address(): string {
    return this.#server?.address ?? '';
  }

  /** What links begin with. */
  get publicUrl(): string {
    return linkBase(this.#o.config.public_url, this.address);
  }
}
