/** How a node of this machine gets into the org: where its registry is, and a token when it has not joined yet. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { connectHub } from '../hub.ts';

export interface Joining {
  readonly registry: string;
  readonly join_token?: string;
}

/** A token is asked for only when this folder has not joined yet. Errors: those of the org service. */
export async function joiningOf(dir: string, context: Context, apiKey?: string): Promise<Joining> {
  const { registry } = context.endpoints;
  const joined = await stat(join(dir, 'identity.json')).then(
    () => true,
    () => false,
  );
  if (joined) return { registry };
  const hub = connectHub(context, apiKey);
  try {
    return { registry, join_token: (await hub.org.createJoinToken({ ttlS: 600 })).joinToken };
  } finally {
    hub.close();
  }
}
