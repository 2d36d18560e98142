/** Binds handlers to a service definition, with what each method asks of its caller. */

import { FleetwireError } from '@fleetwire/kernel';
import type { RpcContext, RpcDefinition, RpcHandlers } from './types.ts';

/** `required`: a valid token; `optional`: a token is checked if there is one; `none`: tokens are not looked at. */
export type AuthMode = 'required' | 'optional' | 'none';

export interface BoundService {
  readonly definition: RpcDefinition;
  // biome-ignore lint/suspicious/noExplicitAny: checked by bindService's signature
  readonly handlers: Readonly<Record<string, (request: any, context: RpcContext<any>) => any>>;
  auth(method: string): AuthMode;
}

/** Methods not named in `auth` require a token. Handlers annotate their context with the type of their caller. */
export function bindService<D extends RpcDefinition>(
  definition: D,
  // biome-ignore lint/suspicious/noExplicitAny: a handler says itself which caller its server's authenticate gives
  implementation: RpcHandlers<D, any>,
  options: { readonly auth?: AuthMode | { readonly [M in keyof D['methods']]?: AuthMode } } = {},
): BoundService {
  const { auth = 'required' } = options;
  const handlers: Record<string, BoundService['handlers'][string]> = {};
  for (const method of Object.keys(definition.methods)) {
    const handler = (implementation as BoundService['handlers'])[method];
    if (typeof handler !== 'function')
      throw new Error(`${definition.fullName} lacks a handler for ${method}`);
    handlers[method] = handler.bind(implementation);
  }
  return {
    definition,
    handlers,
    auth: (method) =>
      typeof auth === 'string'
        ? auth
        : ((auth as Record<string, AuthMode | undefined>)[method] ?? 'required'),
  };
}

/** The caller of a method that requires one; throws `unauthenticated` when there is none. */
export function callerOf<C>(context: RpcContext<C>): C {
  if (context.caller !== undefined) return context.caller;
  throw tokenMissing();
}

export function tokenMissing(): FleetwireError {
  return new FleetwireError('unauthenticated', 'TOKEN_MISSING', 'this call needs a token', {
    help: 'Send the metadata "authorization: Bearer <token>".',
  });
}
