/** How a node of this machine gets into the org: where its registry is, and a token when it has not joined yet. */

import type { Context } from '../context.ts';
import { connectHub } from '../hub.ts';
import { nodeOrg } from '../local-nodes.ts';

export interface Joining {
  readonly registry: string;
  readonly join_token?: string;
}

/** A token is asked for only when this folder has not joined yet. Errors: those of the org service. */
export async function joiningOf(dir: string, context: Context, apiKey?: string): Promise<Joining> {
  const { registry } = context.endpoints;
  if ((await nodeOrg(dir)) !== '') return { registry };
  const hub = connectHub(context, apiKey);
  try {
    return { registry, join_token: (await hub.org.createJoinToken({ ttlS: 600 })).joinToken };
  } finally {
    hub.close();
  }
}
