/** Clients for the services of the fabric that a context names, with its API key exchanged once per command. */

import { readFile } from 'node:fs/promises';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import { FleetwireError } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import type { Context } from './context.ts';

export interface Hub {
  readonly org: RpcClient<OrgServiceDefinition>;
  /** Without credentials, for what anybody may ask. */
  readonly orgOpen: RpcClient<OrgServiceDefinition>;
  readonly registry: RpcClient<RegistryServiceDefinition>;
  readonly router: RpcClient<RouterServiceDefinition>;
  readonly delivery: RpcClient<DeliveryServiceDefinition>;
  close(): void;
}

export type OrgClient = RpcClient<OrgServiceDefinition>;

/** The org service alone, with a token of another kind. */
export const connectOrg = (address: string, token: () => string): OrgClient =>
  createRpcClient(OrgServiceDefinition, { address, token });

/** Opens nothing until a call is made. `apiKey` wins over the context's file. */
export function connectHub(context: Context, apiKey?: string): Hub {
  const { endpoints } = context;
  const opening = createRpcClient(OrgServiceDefinition, { address: endpoints.org });
  let exchanged: Promise<string> | undefined;
  const token = () => {
    exchanged ??= readKey(context, apiKey).then(
      async (key) => (await opening.exchangeKey({ apiKey: key })).token,
    );
    exchanged.catch(() => {
      exchanged = undefined;
    });
    return exchanged;
  };
  const org = createRpcClient(OrgServiceDefinition, { address: endpoints.org, token });
  const registry = createRpcClient(RegistryServiceDefinition, { address: endpoints.registry, token });
  const router = createRpcClient(RouterServiceDefinition, { address: endpoints.router, token });
  const delivery = createRpcClient(DeliveryServiceDefinition, { address: endpoints.delivery, token });
  const close = () => {
    for (const client of [opening, org, registry, router, delivery]) client.close();
  };
  return { org, orgOpen: opening, registry, router, delivery, close };
}

async function readKey(context: Context, given: string | undefined): Promise<string> {
  if (given !== undefined) return given;
  try {
    return (await readFile(context.api_key_file, 'utf8')).trim();
  } catch (cause) {
    throw new FleetwireError(
      'failed_precondition',
      'API_KEY_MISSING',
      `cannot read ${context.api_key_file}`,
      {
        help: 'Set FLEETWIRE_API_KEY, or run `fleetwire up` on this machine again.',
        cause,
      },
    );
  }
}
