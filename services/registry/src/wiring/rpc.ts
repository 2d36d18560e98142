/** Each call of RegistryService and the handler that answers it. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { bindService, callerOf } from '@fleetwire/rpc';
import { createChannel, deleteChannel } from '../handlers/channels/create-channel.ts';
import { listChannelMembers, listChannels } from '../handlers/channels/list-channels.ts';
import { joinChannel, leaveChannel } from '../handlers/channels/membership.ts';
import { deregisterAgent } from '../handlers/deregister-agent.ts';
import { listAgents, lookupAgent } from '../handlers/find-agents.ts';
import { challenge, hello } from '../handlers/hello.ts';
import { join } from '../handlers/join.ts';
import { listNodes } from '../handlers/list-nodes.ts';
import { adoptNode, drainNode, removeNode, requestKeyRotation } from '../handlers/node-admin.ts';
import { openInbox } from '../handlers/open-inbox.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import { registerAgent } from '../handlers/register-agent.ts';
import { renameAgent } from '../handlers/rename-agent.ts';
import { rotateKey } from '../handlers/rotate-key.ts';
import { sync } from '../handlers/sync.ts';
import { syncRoster } from '../handlers/sync-roster.ts';
import { handOver } from '../moving/hand-over.ts';
import { moveAgent } from '../moving/move-agent.ts';

export function bindRegistry(parts: RegistryParts) {
  return bindService(
    RegistryServiceDefinition,
    {
      join: (request) => join(parts, request),
      challenge: async (request) => challenge(parts, request),
      hello: (request) => hello(parts, request),
      openInbox: (_request, call) => openInbox(parts, callerOf(call)),
      registerAgent: (request, call) => registerAgent(parts, request, callerOf(call)),
      deregisterAgent: (request, call) => deregisterAgent(parts, request, callerOf(call)),
      lookupAgent: (request, call) => lookupAgent(parts, request, callerOf(call)),
      listAgents: (request, call) => listAgents(parts, request, callerOf(call)),
      listNodes: (request, call) => listNodes(parts, request, callerOf(call)),
      rotateKey: (request, call) => rotateKey(parts, request, callerOf(call)),
      syncRoster: (request, call) => syncRoster(parts, request, callerOf(call)),
      renameAgent: (request, call) => renameAgent(parts, request, callerOf(call)),
      moveAgent: (request, call) => moveAgent(parts, request, callerOf(call)),
      handOver: (request, call) => handOver(parts, request, callerOf(call)),
      drainNode: (request, call) => drainNode(parts, request, callerOf(call)),
      removeNode: (request, call) => removeNode(parts, request, callerOf(call)),
      requestKeyRotation: (request, call) => requestKeyRotation(parts, request, callerOf(call)),
      adoptNode: (request, call) => adoptNode(parts, request, callerOf(call)),
      createChannel: (request, call) => createChannel(parts, request, callerOf(call)),
      deleteChannel: (request, call) => deleteChannel(parts, request, callerOf(call)),
      joinChannel: (request, call) => joinChannel(parts, request, callerOf(call)),
      leaveChannel: (request, call) => leaveChannel(parts, request, callerOf(call)),
      listChannels: (request, call) => listChannels(parts, request, callerOf(call)),
      listChannelMembers: (request, call) => listChannelMembers(parts, request, callerOf(call)),
      sync: (request, call) => sync(parts, request, callerOf(call)),
    },
    { auth: { join: 'none', challenge: 'none', hello: 'none' } },
  );
}
