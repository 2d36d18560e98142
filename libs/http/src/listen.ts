/** Listening on `host:port`, and what is said when that cannot be. */

import { asFleetwireError, FleetwireError, invariant } from '@fleetwire/kernel';
import type { FastifyInstance } from 'fastify';

/** Not by the framework, which would listen on further addresses of a name with servers of its own. */
export async function listen(app: FastifyInstance, address: string): Promise<string> {
  const at = address.lastIndexOf(':');
  const name = address.slice(0, at);
  const host = name.replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(at + 1));
  if (at < 1 || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw listenFailed(address, new Error('that is not host:port'));
  try {
    await app.ready();
    await new Promise<void>((resolve, reject) => {
      app.server.once('error', reject);
      app.server.listen(port, host, () => {
        app.server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    await app.close();
    throw listenFailed(address, cause);
  }
  const bound = app.server.address();
  invariant(bound !== null && typeof bound === 'object', 'it listens on a port');
  return `${name}:${bound.port}`;
}

function listenFailed(address: string, cause: unknown): FleetwireError {
  const why = asFleetwireError(cause).message;
  return new FleetwireError('failed_precondition', 'LISTEN_FAILED', `cannot listen on ${address}: ${why}`, {
    help: 'Free the address, or configure another one.',
    details: { address },
    cause,
  });
}
