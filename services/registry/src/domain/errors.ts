/** The registry's refusals, each in one place. */

import { PROTOCOL_VERSION, PROTOCOL_VERSIONS } from '@fleetwire/contract';
import { isNodePublicKey } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';

export const nodeUnknown = (): FleetwireError =>
  new FleetwireError('not_found', 'NODE_UNKNOWN', 'the registry does not know this node', {
    help: 'Join again with a new join token.',
  });

/** For somebody who named a node: `nearest` are names of their org. */
export const nodeNotFound = (named: string, nearest: readonly string[]): FleetwireError =>
  new FleetwireError('not_found', 'NODE_UNKNOWN', `there is no node "${printable(named)}" in your org`, {
    ...(nearest.length === 0 ? {} : { help: `Did you mean ${nearest.join(' or ')}?` }),
    details: { suggestions: nearest.join(',') },
  });

export const nodeRemoved = (): FleetwireError =>
  new FleetwireError('failed_precondition', 'NODE_REMOVED', 'this node was removed from its org', {
    help: 'Join again with a new key: remove the folder of the node, and use a new join token.',
  });

export const keyRetired = (): FleetwireError =>
  new FleetwireError(
    'failed_precondition',
    'KEY_RETIRED',
    'this node has another key since its last rotation',
    {
      help: 'Use the folder of the node as it is now, not a copy of before; or join again with a new key.',
    },
  );

export const ownerDeparted = (): FleetwireError =>
  new FleetwireError('failed_precondition', 'OWNER_DEPARTED', 'the owner of this node has left the org', {
    help: 'Have an admin of the org adopt the node, or remove it.',
  });

export const identityInUse = (holder: string, retryAfterMs: number): FleetwireError =>
  new FleetwireError(
    'failed_precondition',
    'IDENTITY_IN_USE',
    'another machine is this node, or was when it was last heard of',
    {
      help:
        'End the other one, or join this machine as a node of its own: remove its copied folder. Where the other one is off ' +
        'for good, this machine is taken once it has been silent for long enough: try again then.',
      details: { holder },
      retryAfterMs,
    },
  );

export const helloTooOften = (retryAfterMs: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'HELLO_TOO_OFTEN', 'this node says HELLO too often', {
    help: 'Look into why its connection does not last.',
    retryAfterMs,
  });

export const keyInUse = (): FleetwireError =>
  new FleetwireError(
    'already_exists',
    'KEY_IN_USE',
    'the new key was used before, or the old one is not in use',
    {
      help: 'Make a new key, and sign with the one that the node has now.',
    },
  );

export const rotatedLately = (retryAfterMs: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'ROTATED_LATELY', 'the key before is still taken', {
    help: 'Wait until it is not, or have an admin ask for another rotation.',
    retryAfterMs,
  });

export const nodeNameTaken = (name: string, suggestion: string | undefined): FleetwireError =>
  new FleetwireError('already_exists', 'NODE_NAME_TAKEN', `another machine of your org is called "${name}"`, {
    help:
      suggestion === undefined ? 'Choose another name.' : `Choose another name, for example ${suggestion}.`,
    details: suggestion === undefined ? {} : { suggestion },
  });

/** Undefined: as a node of another org, which is nobody's business here. */
export const nodeAlreadyJoined = (name: string | undefined): FleetwireError =>
  name === undefined
    ? new FleetwireError('already_exists', 'NODE_ALREADY_JOINED', "this machine's key has joined elsewhere", {
        help: `Make a new key by removing the node's folder, or use another folder.`,
      })
    : new FleetwireError(
        'already_exists',
        'NODE_ALREADY_JOINED',
        `this machine's key has joined as "${name}" already`,
        {
          help: `Keep that name, or make a new key by removing the node's folder.`,
          details: { node_name: name },
        },
      );

export const agentUnknown = (name: string, nearest: readonly string[]): FleetwireError =>
  new FleetwireError('not_found', 'UNKNOWN_AGENT', `there is no agent "${printable(name)}" in your org`, {
    ...(nearest.length === 0 ? {} : { help: `Did you mean ${nearest.join(' or ')}?` }),
    details: { suggestions: nearest.join(',') },
  });

export const notTheOwner = (): FleetwireError =>
  new FleetwireError('permission_denied', 'NOT_THE_OWNER', 'this agent lives on another node', {
    help: 'Only its own node changes or removes it, or an admin of the org.',
  });

export const signatureInvalid = (): FleetwireError =>
  new FleetwireError(
    'unauthenticated',
    'SIGNATURE_INVALID',
    "the nonce was not signed with this node's key",
    {
      help: 'Sign the nonce as it came with the key that the node joined with.',
    },
  );

/** The newest version that both speak; a node that names no others speaks `newest` alone. Throws PROTOCOL_UNSUPPORTED. */
export function checkProtocol(newest: string, spoken: readonly number[] = []): number {
  const theirs = spoken.length === 0 ? [Number(newest)] : spoken;
  const common = PROTOCOL_VERSIONS.filter((version) => theirs.includes(version));
  if (common.length > 0) return Math.max(...common);
  const named = spoken.length === 0 ? newest : spoken.slice(0, 10).join(', ');
  const message = `protocol version "${printable(named)}" is not spoken here`;
  throw new FleetwireError('failed_precondition', 'PROTOCOL_UNSUPPORTED', message, {
    help: `Use a version of the node that speaks protocol ${PROTOCOL_VERSION}.`,
    details: { supported: PROTOCOL_VERSIONS.join(',') },
  });
}

/** Throws INVALID_PUBLIC_KEY unless it is a NATS public user key. */
export function checkPublicKey(key: string): void {
  if (isNodePublicKey(key)) return;
  throw new FleetwireError('invalid_argument', 'INVALID_PUBLIC_KEY', 'this is not a public user key', {
    help: 'Send the NATS public user key (56 characters, U first) of the machine that joins.',
  });
}

export const limitReached = (reason: 'AGENT_LIMIT' | 'NODE_LIMIT', message: string): FleetwireError =>
  new FleetwireError('resource_exhausted', reason, message, {
    help: 'Remove what is not needed, or have the limit raised.',
  });
