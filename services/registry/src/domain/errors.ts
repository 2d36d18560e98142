/** The registry's refusals, each in one place. */

import { PROTOCOL_VERSION, PROTOCOL_VERSIONS } from '@fleetwire/contract';
import { isNodePublicKey } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';

export const nodeUnknown = (): FleetwireError =>
  new FleetwireError('not_found', 'NODE_UNKNOWN', 'the registry does not know this node', {
    help: 'Join again with a new join token.',
  });

export const nodeNameTaken = (name: string, suggestion: string | undefined): FleetwireError =>
  new FleetwireError('already_exists', 'NODE_NAME_TAKEN', `another machine of your org is called "${name}"`, {
    help:
      suggestion === undefined ? 'Choose another name.' : `Choose another name, for example ${suggestion}.`,
    details: suggestion === undefined ? {} : { suggestion },
  });

export const nodeAlreadyJoined = (name: string): FleetwireError =>
  new FleetwireError(
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

/** Throws PROTOCOL_UNSUPPORTED unless the node speaks ours. */
export function checkProtocol(protocol: string): void {
  if (PROTOCOL_VERSIONS.includes(Number(protocol))) return;
  const message = `protocol version "${printable(protocol)}" is not spoken here`;
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
