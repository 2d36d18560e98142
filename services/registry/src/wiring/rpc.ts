/** Each call of RegistryService and the handler that answers it. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { printable } from '@fleetwire/kernel';
import { bindService, callerOf, type RpcContext } from '@fleetwire/rpc';
import { agentHomes } from '../handlers/agent-homes.ts';
import { createChannel, deleteChannel } from '../handlers/channels/create-channel.ts';
import { listChannelMembers, listChannels } from '../handlers/channels/list-channels.ts';
import { joinChannel, leaveChannel } from '../handlers/channels/membership.ts';
import { deregisterAgent } from '../handlers/deregister-agent.ts';
import { listAgents, lookupAgent } from '../handlers/find-agents.ts';
import { challenge, hello } from '../handlers/hello.ts';
import { join } from '../handlers/join.ts';
import { listNodes } from '../handlers/list-nodes.ts';
import { adoptNode, drainNode, removeNode, requestKeyRotation } from '../handlers/node-admin.ts';
import { nodePolicies } from '../handlers/node-policies.ts';
import { openInbox } from '../handlers/open-inbox.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import type { Refusals } from '../handlers/refusals.ts';
import { registerAgent } from '../handlers/register-agent.ts';
import { renameAgent } from '../handlers/rename-agent.ts';
import { rotateKey } from '../handlers/rotate-key.ts';
import { inGoodStanding } from '../handlers/standing.ts';
import { closeSubscription, listSubscriptions } from '../handlers/subscriptions/close-subscription.ts';
import { openSubscription } from '../handlers/subscriptions/open-subscription.ts';
import { sync } from '../handlers/sync.ts';
import { syncRoster } from '../handlers/sync-roster.ts';
import { handOver } from '../moving/hand-over.ts';
import { moveAgent } from '../moving/move-agent.ts';

type Handler<Q, A> = (parts: RegistryParts, request: Q, caller: Caller) => Promise<A>;

/** Of those who call without a token. */
export interface Refused {
  readonly joins: Refusals;
  readonly hellos: Refusals;
}

const SHOWN_CHARS = 64;
const shown = (text: string): string => printable(text.slice(0, SHOWN_CHARS));

export function bindRegistry(parts: RegistryParts, { joins, hellos }: Refused) {
  /** Of whoever has a token; a node's counts as long as the node does. */
  const by =
    <Q, A>(handler: Handler<Q, A>) =>
    async (request: Q, call: RpcContext<Caller>): Promise<A> =>
      handler(parts, request, await inGoodStanding(parts, callerOf(call)));
  return bindService(
    RegistryServiceDefinition,
    {
      join: (request) => joins.counting({ node: shown(request.nodeName) }, join(parts, request)),
      challenge: async (request) => challenge(parts, request),
      hello: (request) => hellos.counting({ node: shown(request.node) }, hello(parts, request)),
      openInbox: by(openInbox),
      registerAgent: by(registerAgent),
      deregisterAgent: by(deregisterAgent),
      lookupAgent: by(lookupAgent),
      listAgents: by(listAgents),
      listNodes: by(listNodes),
      rotateKey: by(rotateKey),
      syncRoster: by(syncRoster),
      renameAgent: by(renameAgent),
      moveAgent: by(moveAgent),
      handOver: by(handOver),
      drainNode: by(drainNode),
      removeNode: by(removeNode),
      requestKeyRotation: by(requestKeyRotation),
      adoptNode: by(adoptNode),
      createChannel: by(createChannel),
      deleteChannel: by(deleteChannel),
      joinChannel: by(joinChannel),
      leaveChannel: by(leaveChannel),
      listChannels: by(listChannels),
      listChannelMembers: by(listChannelMembers),
      sync: by(sync),
      nodePolicies: by(nodePolicies),
      openSubscription: by(openSubscription),
      listSubscriptions: by(listSubscriptions),
      closeSubscription: by(closeSubscription),
      agentHomes: by(agentHomes),
    },
    { auth: { join: 'none', challenge: 'none', hello: 'none' } },
  );
}
