/** Every event of the fabric: what subscribers find under which subject. */

/** By the service that tells it. */
export const EVENTS = {
  org: {
    org_created: 'The org is there.',
    org_updated: 'Its name or slug has changed.',
    org_deletion_started: 'It is being deleted.',
    org_clearing: 'Its agents and nodes are being removed.',
    org_deleted: 'Its deletion is over.',
    org_restored: 'Its deletion was taken back.',
    ownership_transferred: 'Another member is its owner.',
    member_joined: 'Somebody has joined.',
    member_role_changed: 'A member has another role.',
    member_removed: 'A member was removed.',
    member_left: 'A member has left.',
    invite_created: 'Somebody was invited.',
    invite_revoked: 'An invite was taken back.',
    workspace_created: 'A workspace was made.',
    workspace_updated: 'A workspace has changed.',
    workspace_reassigned: 'A workspace belongs to another member.',
    workspace_deleted: 'A workspace is gone.',
    agent_assigned: 'An agent was assigned to a workspace.',
    agent_unassigned: 'An agent is no longer assigned to a workspace.',
    tokens_revoked: 'Tokens of a member, of an API key or of the org are refused.',
    policy_created: 'A policy was made.',
    policy_updated: 'A policy has changed.',
    policy_deleted: 'A policy is gone.',
    plan_changed: 'The org has another plan.',
    limits_changed: 'The org has other limits.',
    billing_changed: 'Its subscription has another status.',
  },
  registry: {
    node_joined: 'A machine has joined.',
    node_online: 'A node came.',
    node_offline: 'A node fell silent, or said goodbye.',
    node_draining: 'A node takes no new agents, or takes them again.',
    node_removed: 'A node was removed, with its agents.',
    node_shut_out: 'A node was shut out, since its owner has left.',
    node_adopted: 'A node has another owner.',
    node_key_rotated: 'A node has another key.',
    node_contended: 'Another machine tried to be a node.',
    agent_registered: 'An agent came.',
    agent_removed: 'An agent is gone.',
    agent_renamed: 'An agent has another name.',
    channel_created: 'A channel or group was made.',
    channel_deleted: 'A channel or group is gone.',
    channel_joined: 'Agents joined a channel or group.',
    channel_left: 'Agents left a channel or group.',
    subscription_opened: 'A place in a stream was made, or begun anew.',
    subscription_closed: 'A place in a stream is forgotten.',
    usage: 'Totals of nodes and agents.',
    denied: 'Policies did not let agents of a node send.',
  },
  router: { denied: 'Policies did not let an agent send.' },
  delivery: {
    usage: 'Totals of messages of a day so far.',
    overflow: 'A full queue has returned or ended messages.',
    denied: 'Receipts were refused: their node may not say so.',
    acted: 'Somebody has acted on dead letters, for the audit.',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

/** About single messages, where the org wants it; told by delivery, in a stream of their own. */
export const MESSAGE_EVENTS = {
  message_sent: 'An agent has sent a message to one.',
  broadcast: 'An agent has sent a message to many.',
  message_received: 'An agent has a message.',
} as const;

export type MessageEventName = keyof typeof MESSAGE_EVENTS;

export function isMessageEvent(name: string): name is MessageEventName {
  return Object.hasOwn(MESSAGE_EVENTS, name);
}

export type EventService = keyof typeof EVENTS;
/** Names that a service may tell; who publishes goes by this type, so that no event is missing here. */
export type EventName<S extends EventService> = keyof (typeof EVENTS)[S] & string;
