/** Opens the door: options, credentials, the first connection and what it must offer. */

import { readFileSync } from 'node:fs';
import { LIMITS } from '@fleetwire/contract';
import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, FleetwireError, pause } from '@fleetwire/kernel';
import type { Auth, Authenticator, ConnectionOptions } from '@nats-io/nats-core';
import {
  AuthorizationError,
  credsAuthenticator,
  jwtAuthenticator,
  UserAuthenticationExpiredError,
  usernamePasswordAuthenticator,
} from '@nats-io/nats-core';
import type { Broker, BrokerLimits } from './broker.ts';
import { createBroker } from './broker.ts';
import { Link } from './link.ts';

export interface BrokerCredentials {
  readonly jwt: string;
  /** Of the user's NKEY pair. */
  readonly seed: Uint8Array;
}

export interface BrokerOptions extends Partial<BrokerLimits> {
  /** `nats://host:port`, with `user:password@` for a server that asks for it. */
  readonly urls: readonly string[];
  /** Shown in the server's list of connections. */
  readonly name: string;
  /** Asked at each connect, so that a renewed JWT is taken up. */
  readonly credentials?: (() => BrokerCredentials) | undefined;
  /** Read at each connect. Without credentials and file: a server without accounts. */
  readonly credsFile?: string | undefined;
  /** Of all subjects on which answers come. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** How long to try for the first connection. Default 10,000; 0: one try. */
  readonly waitMs?: number | undefined;
  /** Between tries to reconnect; the first is made at once. Default 100 to 2,000. */
  readonly reconnect?: BackoffPolicy | undefined;
  /** The connection counts as dead when this many pings in a row, so far apart, were not answered. Default 500, 3. */
  readonly pingIntervalMs?: number | undefined;
  readonly maxPingOut?: number | undefined;
  /** Of one try to connect. Default 2,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Bytes that the server must take at least. Default `LIMITS.serverMaxPayload`. */
  readonly minPayload?: number | undefined;
  /** Gets what a listener or handler threw: a fault in the program. Default: an uncaught exception. */
  readonly onFault?: ((error: unknown) => void) | undefined;
}

const DEFAULTS: BrokerLimits = {
  maxInFlight: 1024,
  maxWaiting: 16_384,
  publishTimeoutMs: 5000,
  apiTimeoutMs: 5000,
  drainMs: 5000,
};
const RECONNECT: BackoffPolicy = { initialMs: 100, maxMs: 2000 };

/**
 * Resolves when connected; from then on it reconnects for ever. Rejects unavailable NATS_UNREACHABLE, unauthenticated
 * NATS_REFUSED, failed_precondition CREDENTIALS_UNREADABLE or MAX_PAYLOAD_TOO_SMALL,
 * invalid_argument INVALID_NATS_URL.
 */
export async function connectBroker(o: BrokerOptions): Promise<Broker> {
  const inboxPrefix = o.inboxPrefix ?? '_INBOX';
  const link = await openLink(o, connectionOptions(o, inboxPrefix));
  const least = o.minPayload ?? LIMITS.serverMaxPayload;
  if (link.maxPayload < least) {
    const { maxPayload } = link;
    await link.close();
    throw new FleetwireError(
      'failed_precondition',
      'MAX_PAYLOAD_TOO_SMALL',
      `the NATS server takes ${maxPayload} bytes, ${least} are needed`,
      { help: `Set max_payload: ${least} in the server's configuration.` },
    );
  }
  return createBroker(link, inboxPrefix, limitsOf(o));
}

function limitsOf(o: BrokerOptions): BrokerLimits {
  return {
    maxInFlight: o.maxInFlight ?? DEFAULTS.maxInFlight,
    maxWaiting: o.maxWaiting ?? DEFAULTS.maxWaiting,
    publishTimeoutMs: o.publishTimeoutMs ?? DEFAULTS.publishTimeoutMs,
    apiTimeoutMs: o.apiTimeoutMs ?? DEFAULTS.apiTimeoutMs,
    drainMs: o.drainMs ?? DEFAULTS.drainMs,
  };
}

function connectionOptions(o: BrokerOptions, inboxPrefix: string): ConnectionOptions {
  const authenticator = authenticatorOf(o);
  return {
    servers: o.urls.map((url) => parseUrl(url).server),
    name: o.name,
    inboxPrefix,
    timeout: o.connectTimeoutMs ?? 2000,
    pingInterval: o.pingIntervalMs ?? 500,
    maxPingOut: o.maxPingOut ?? 3,
    ...(authenticator === undefined ? {} : { authenticator }),
  };
}

async function openLink(o: BrokerOptions, connection: ConnectionOptions): Promise<Link> {
  const deadline = performance.now() + (o.waitMs ?? 10_000);
  const reconnect = o.reconnect ?? RECONNECT;
  const onFault = o.onFault ?? throwLater;
  for (let attempt = 0; ; attempt++) {
    try {
      return await Link.open({ connection, reconnect, onFault });
    } catch (error) {
      if (error instanceof FleetwireError) throw error;
      if (performance.now() >= deadline)
        throw refusal(
          error,
          o.urls.map((url) => parseUrl(url).server),
        );
      await pause(Math.min(backoffMs(reconnect, attempt), deadline - performance.now()));
    }
  }
}

function refusal(error: unknown, urls: readonly string[]): FleetwireError {
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    return new FleetwireError('unauthenticated', 'NATS_REFUSED', 'NATS does not accept the credentials', {
      cause: error,
    });
  }
  return new FleetwireError(
    'unavailable',
    'NATS_UNREACHABLE',
    `no NATS server answers at ${urls.join(', ')}`,
    {
      help: 'Start nats-server, or correct the URL.',
      cause: error,
    },
  );
}

/** As servers make it up. Keys sign other texts too, and whoever answers at the address could ask for one of those. */
const NONCE = /^[\w-]{0,64}$/;

/** Checked once now; later faults only fail that try, since the library would close for good. */
function authenticatorOf(o: BrokerOptions): Authenticator | undefined {
  const inner = rawAuthenticator(o);
  if (inner === undefined) return undefined;
  try {
    inner('');
  } catch (error) {
    const what = o.credsFile ?? 'the credentials';
    throw new FleetwireError('failed_precondition', 'CREDENTIALS_UNREADABLE', `${what} cannot be read`, {
      cause: error,
    });
  }
  return (nonce = '') => {
    try {
      if (NONCE.test(nonce)) return inner(nonce);
    } catch {}
    return {} as Auth;
  };
}

function rawAuthenticator(o: BrokerOptions): Authenticator | undefined {
  const { credentials, credsFile } = o;
  if (credentials !== undefined) {
    return (nonce) => {
      const { jwt, seed } = credentials();
      return jwtAuthenticator(jwt, seed)(nonce);
    };
  }
  if (credsFile !== undefined) return credsAuthenticator(() => readFileSync(credsFile));
  const login = o.urls.map(parseUrl).find((url) => url.user !== '');
  return login === undefined ? undefined : usernamePasswordAuthenticator(login.user, login.password);
}

/** The library does not take user and password from a URL. */
function parseUrl(text: string): {
  readonly server: string;
  readonly user: string;
  readonly password: string;
} {
  const url = URL.parse(text.includes('://') ? text : `nats://${text}`);
  if (url === null || url.hostname === '')
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_NATS_URL',
      `${text} is not the URL of a NATS server`,
    );
  const { protocol, host } = url;
  return {
    server: `${protocol}//${host}`,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
