/** Finding a port that nobody listens on. */

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { FleetwireError } from '@fleetwire/kernel';

/**
 * Below those that systems give to outgoing connections and to listeners that ask for any (Linux from 32768, macOS and IANA
 * from 49152): one of those could be in use when a server comes back to its port.
 */
const FIRST = 20_000;
const LAST = 32_767;
const TRIES = 100;

/**
 * A TCP port of 127.0.0.1 that was free a moment ago; someone else can still be quicker, so callers handle PORT_IN_USE.
 * Rejects resource_exhausted NO_FREE_PORT.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST, LAST + 1);
    if (await portIsFree(port, '127.0.0.1')) return port;
  }
  throw new FleetwireError(
    'resource_exhausted',
    'NO_FREE_PORT',
    `of ${TRIES} ports from ${FIRST} to ${LAST} none is free`,
    { help: 'Stop what listens there, or name ports in the configuration.' },
  );
}

/** False when somebody listens on it, or when this user may not. */
export function portIsFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
