/** How bootstrap reaches the servers: with which credentials, and what it says when they are refused. */

import type { Broker } from '@fleetwire/broker';
import { connectBroker } from '@fleetwire/broker';
import { keyFiles, serviceInboxPrefix } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';

export interface Access {
  /** Made by `ensureKeys`; not needed with `singleTenant`. */
  readonly keysDir?: string | undefined;
  readonly natsUrls: readonly string[];
  /** A plain server without accounts. */
  readonly singleTenant?: boolean | undefined;
}

/** Connects as `user`, or without credentials to a single-tenant server, for the time of `work`. */
export async function withBroker<T>(
  o: Access,
  user: 'sys' | 'bootstrap',
  work: (broker: Broker) => Promise<T>,
): Promise<T> {
  const credentials = o.singleTenant ? {} : { credsFile: keyFiles.natsCreds(keysDirOf(o), user) };
  const broker = await connectBroker({
    urls: [...o.natsUrls],
    name: `fleetwire-${user}`,
    inboxPrefix: serviceInboxPrefix(user),
    waitMs: 0,
    ...credentials,
  }).catch((error: unknown) => {
    throw asFleetwireError(error).reason === 'NATS_REFUSED' ? refused(o, error) : error;
  });
  try {
    return await work(broker);
  } finally {
    await broker.close();
  }
}

function refused(o: Access, cause: unknown): FleetwireError {
  const help =
    o.singleTenant === true
      ? 'It asks for credentials: leave FLEETWIRE_NATS_SINGLE_TENANT out, or put user and password into the URL.'
      : `Set FLEETWIRE_KEYS_DIR to the keys that made its configuration; those in ${keysDirOf(o)} did not.`;
  return new FleetwireError('unauthenticated', 'NATS_REFUSED', 'NATS does not accept the credentials', {
    help,
    cause,
  });
}

export function keysDirOf(o: Access): string {
  if (o.keysDir !== undefined) return o.keysDir;
  throw new FleetwireError('invalid_argument', 'KEYS_DIR_MISSING', 'bootstrap needs the keys folder', {
    help: 'Name it in FLEETWIRE_KEYS_DIR, or set FLEETWIRE_NATS_SINGLE_TENANT=true for a server without accounts.',
  });
}
