/** Addresses: whom a message is for, as its sender writes it. */

import { FleetwireError } from './errors.ts';
import { foldName, isCapability, isName, printable } from './names.ts';

/** One agent: `alice`, `alice@laptop` or `app:alice`. */
export interface AgentAddress {
  readonly kind: 'agent';
  readonly name: string;
  /** Undefined: wherever it lives. */
  readonly node: string | undefined;
  /** Folded; undefined: whatever it works on. */
  readonly project: string | undefined;
}

/** Any one live agent that can do this: `?review`. */
export interface CapabilityAddress {
  readonly kind: 'capability';
  /** Folded. */
  readonly capability: string;
}

/** All members of a channel, `#ops`, or of a group, `%team`. */
export interface MembersAddress {
  readonly kind: 'channel' | 'group';
  /** Without # or %. */
  readonly name: string;
}

/** All agents: `*` or `*:*`, those on one node, `*@laptop`, or those of one project, `app:*`. */
export interface EverybodyAddress {
  readonly kind: 'everybody';
  readonly node: string | undefined;
  /** Folded. */
  readonly project: string | undefined;
}

/** To many agents at once: one receipt for each. */
export type ManyAddress = MembersAddress | EverybodyAddress;
export type Address = AgentAddress | CapabilityAddress | ManyAddress;

export function isToMany(address: Address): address is ManyAddress {
  return address.kind !== 'agent' && address.kind !== 'capability';
}

/** Whether text that may be anything is an address of many. */
export function meansMany(text: string): boolean {
  try {
    return isToMany(parseAddress(text));
  } catch {
    return false;
  }
}

const FORMS =
  'Write the name of an agent, like alice, alice@laptop or project:alice; a channel, like #ops, or a group, like %team; ' +
  '* for all agents, *@laptop for those of a node; or a capability, like ?review.';

/** Reads every form that an address can have; throws `INVALID_ADDRESS` for anything else. */
export function parseAddress(text: string): Address {
  const rest = text.slice(1);
  switch (text.charAt(0)) {
    case '?':
      if (isCapability(rest)) return { kind: 'capability', capability: foldName(rest) };
      throw badAddress(text, 'Write ? and a capability: letters, digits, dot, underscore and hyphen.');
    case '#':
    case '%':
      if (isName(rest)) return { kind: text.startsWith('#') ? 'channel' : 'group', name: rest };
      throw badAddress(text, 'Write # and the name of a channel, or % and that of a group.');
    default:
      return agentsAddress(text);
  }
}

/** `[project:]name[@node]`, where the name may be `*`. */
function agentsAddress(text: string): AgentAddress | EverybodyAddress {
  const match = /^(?:([^:@]*):)?([^:@]*)(?:@([^:@]*))?$/.exec(text);
  const [, project, name = '', node] = match ?? [];
  const everyProject = project === undefined || (project === '*' && name === '*');
  const sound = (everyProject || isName(project!)) && (node === undefined || isName(node));
  if (match === null || !sound || (name !== '*' && !isName(name))) throw badAddress(text, FORMS);
  const folded = everyProject ? undefined : foldName(project!);
  if (name === '*') return { kind: 'everybody', node, project: folded };
  return { kind: 'agent', name, node, project: folded };
}

function badAddress(text: string, help: string): FleetwireError {
  const message = `"${printable(text)}" is not an address`;
  return new FleetwireError('invalid_argument', 'INVALID_ADDRESS', message, { help });
}
