/** What is refused about agents and channels, each in one place. */

import { FleetwireError, printable } from '@fleetwire/kernel';

export const nameTaken = (
  name: string,
  holder: {
    readonly node: string;
    readonly nodeName: string;
    /** Until when the name stays its while its node is away; undefined: its node is there. */
    readonly reservedUntilMs?: number | undefined;
  },
  suggestion: string | undefined,
): FleetwireError => {
  const away = holder.reservedUntilMs === undefined ? '' : ', which is away,';
  const free =
    suggestion === undefined ? 'Choose another name.' : `Choose another name; ${suggestion} is free.`;
  const message = `an agent on node ${holder.nodeName}${away} is called "${name}"`;
  return new FleetwireError('already_exists', 'NAME_TAKEN', message, {
    help: free,
    details: {
      held_by_node: holder.node,
      held_by_node_name: holder.nodeName,
      ...(holder.reservedUntilMs === undefined ? {} : { reserved_until_ms: String(holder.reservedUntilMs) }),
      ...(suggestion === undefined ? {} : { suggestion }),
    },
  });
};

export const nodeDraining = (): FleetwireError =>
  new FleetwireError(
    'failed_precondition',
    'NODE_DRAINING',
    'this node is draining: it takes no new agents',
    {
      help: 'Register the agent on another node, or end the draining.',
    },
  );

export const agentMoved = (nodeName: string): FleetwireError =>
  new FleetwireError('failed_precondition', 'AGENT_MOVED', `this agent lives on node ${nodeName} now`, {
    help: 'Forget it here; its mail follows it.',
    details: { node_name: nodeName },
  });

export const agentAssigned = (name: string): FleetwireError =>
  new FleetwireError(
    'failed_precondition',
    'AGENT_ASSIGNED',
    `agent "${printable(name)}" is assigned to a workspace by its name`,
    {
      help: `Have an admin of the org end that with \`fleetwire workspace unassign ${printable(name)}\` first.`,
      details: { agent: name },
    },
  );

export const agentRemoved = (): FleetwireError =>
  new FleetwireError('failed_precondition', 'AGENT_REMOVED', 'an admin of the org has removed this agent', {
    help: 'Forget it here; register it anew to have another one of that name.',
  });

export const rosterTooLarge = (max: number): FleetwireError =>
  new FleetwireError('invalid_argument', 'ROSTER_TOO_LARGE', `a roster has at most ${max} agents`, {
    help: 'Remove agents from this node, or run a second one.',
    details: { max: String(max) },
  });

/** The same whether it is another org's or nobody's. */
export const channelUnknown = (named: string): FleetwireError =>
  new FleetwireError('not_found', 'UNKNOWN_CHANNEL', `there is no "${printable(named)}" in your org`, {
    help: 'Give its id, or its name with # for a channel or % for a group.',
  });

export const channelsFull = (max: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'CHANNEL_LIMIT', `the org has ${max} channels and groups`, {
    help: 'Delete what is not needed, or have the limit raised.',
  });

export const channelsOfNodeFull = (max: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'CHANNEL_LIMIT', `this node has made ${max} channels`, {
    help: 'Delete those that are not needed, or have a person make it with `fleetwire channel create`.',
    details: { max: String(max) },
  });

export const channelFull = (max: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'MEMBER_LIMIT', `it would have more than ${max} members`, {
    help: 'Use more than one channel.',
    details: { max: String(max) },
  });

export const tooManyAgents = (max: number): FleetwireError =>
  new FleetwireError('invalid_argument', 'TOO_MANY_AGENTS', `one call names at most ${max} agents`, {
    help: 'Make several calls.',
    details: { max: String(max) },
  });

export const kindUnknown = (): FleetwireError =>
  new FleetwireError('invalid_argument', 'UNKNOWN_KIND', 'there is no such kind', {
    help: 'Use channel or group.',
  });

export const nameTwice = (name: string): FleetwireError =>
  new FleetwireError('invalid_argument', 'LISTED_TWICE', `"${printable(name)}" is listed twice`, {
    help: 'List each agent once.',
  });
