/** The org that a command acts in, as far as this machine knows it, and what people call it here. */

import { FleetwireError } from '@fleetwire/kernel';
import { type Context, contextNames, loadContext } from './context.ts';
import { connectOrg } from './hub.ts';

const EXCHANGE_MS = 3000;

export interface ActingOrg {
  /** Never empty. */
  readonly id: string;
  /** Names of the contexts of this machine by the id of their org. */
  readonly contexts: ReadonlyMap<string, readonly string[]>;
}

export interface ActingIn {
  readonly configFolder: string;
  readonly contextName: string;
  /** Whether somebody named or chose the context, rather than it being the one by default. */
  readonly isMeant: boolean;
  readonly apiKey: string | undefined;
}

/**
 * Undefined: a machine without contexts, or a context without an org; then nothing can be told apart. An API key acts in
 * its own org, whatever the context says; while nobody can be asked, the context's word is taken. Rejects as
 * `loadContext`, and with what the org service says of a key that is none.
 */
export async function actingOrg(o: ActingIn): Promise<ActingOrg | undefined> {
  const names = await contextNames(o.configFolder);
  if (names.length === 0 && !o.isMeant) return undefined;
  const context = await loadContext(o.configFolder, o.contextName);
  const id = o.apiKey === undefined ? context.org : await orgOfKey(context, o.apiKey);
  if (id === '') return undefined;
  return { id, contexts: await contextsByOrg(o.configFolder, names) };
}

async function orgOfKey(context: Context, apiKey: string): Promise<string> {
  const door = connectOrg(context.endpoints.org, () => '');
  try {
    return (await door.exchangeKey({ apiKey }, { deadlineMs: EXCHANGE_MS })).org;
  } catch (error) {
    const nobodyThere =
      error instanceof FleetwireError && /^(unavailable|deadline_exceeded)$/.test(error.kind);
    if (nobodyThere) return context.org;
    throw error;
  } finally {
    door.close();
  }
}

async function contextsByOrg(
  configFolder: string,
  names: readonly string[],
): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const name of names) {
    // One that cannot be read names nothing here; who uses it is told.
    const org = (await loadContext(configFolder, name).catch(() => undefined))?.org;
    if (org !== undefined) found.set(org, [...(found.get(org) ?? []), name]);
  }
  return found;
}

/** Such as `o_1 (context acme)`; an org of no context here is its id. */
export function orgText({ contexts }: ActingOrg, id: string): string {
  if (id === '') return 'no org yet';
  const names = contexts.get(id) ?? [];
  return names.length === 0 ? `org ${id}` : `org ${id} (context ${names.join(', ')})`;
}

/** How to act in the org `id` instead, as the end of a help; empty where this machine has no context for it. */
export function actThere({ contexts }: ActingOrg, id: string): string {
  const name = contexts.get(id)?.[0];
  return name === undefined ? '' : `, or act in that org with: --context ${name}`;
}
