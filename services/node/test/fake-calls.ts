/** What the calls of the small hub have in common. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcHandlers } from '@fleetwire/rpc';

export function signatureInvalid(): FleetwireError {
  return new FleetwireError('unauthenticated', 'SIGNATURE_INVALID', 'not that node');
}

export function nodeOf(context: { metadata(name: string): string }): string {
  return context.metadata('authorization').replace('Bearer ', '');
}

export async function unimplemented(): Promise<never> {
  throw new FleetwireError('unimplemented', 'NOT_HERE', 'not part of this test');
}

/** What this stand-in does not do. */
export function absent(): RpcHandlers<typeof RegistryServiceDefinition> {
  const missing = async (): Promise<never> => {
    throw new FleetwireError('unimplemented', 'NOT_HERE', 'not in this stand-in');
  };
  const names = Object.keys(RegistryServiceDefinition.methods);
  return Object.fromEntries(names.map((name) => [name, missing])) as never;
}
