/** A roster as a node sends it, checked agent by agent: one that does not fit spoils none of the others. */

import type { AgentProfile } from '@fleetwire/gen/registry';
import { asFleetwireError, checkName, type FleetwireError, foldName, isId } from '@fleetwire/kernel';
import { nameTwice } from './agent-errors.ts';
import { checkAdapter, readProfile, type StoredProfile } from './profile.ts';

export interface RosterItem {
  /** Empty: the node has none for it, or none that can be. */
  readonly id: string;
  readonly name: string;
  readonly folded: string;
  readonly adapter: string;
  readonly profile: StoredProfile | undefined;
  /** Why it cannot be taken. */
  readonly refused: FleetwireError | undefined;
}

interface Sent {
  readonly id: string;
  readonly name: string;
  readonly adapter: string;
  readonly profile?: AgentProfile | undefined;
}

/** In the order of the list. Of two with one id or one name the second is refused. */
export function readRoster(agents: readonly Sent[]): RosterItem[] {
  const names = new Set<string>();
  const ids = new Set<string>();
  return agents.map((sent) => {
    const item = readItem(sent);
    if (item.refused !== undefined) return item;
    if (names.has(item.folded) || (item.id !== '' && ids.has(item.id)))
      return { ...item, refused: nameTwice(item.name) };
    names.add(item.folded);
    ids.add(item.id);
    return item;
  });
}

function readItem({ id: sentId, name, adapter, profile: sent }: Sent): RosterItem {
  const item = { id: isId('agent', sentId) ? sentId : '', name, folded: foldName(name), adapter };
  try {
    checkName(name, 'agent');
    checkAdapter(adapter);
    return { ...item, profile: sent && readProfile(sent), refused: undefined };
  } catch (error) {
    return { ...item, profile: undefined, refused: asFleetwireError(error) };
  }
}
