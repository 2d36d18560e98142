/** channel … and group …: lists of agents that are written to by one name, and their members. */

import type { Channel } from '@fleetwire/gen/registry';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import {
  allChannels,
  allMembersOf,
  type ChannelKind,
  channelAddress,
  channelName,
  checkAgents,
} from '../fleet.ts';
import { agentDocument, channelDocument } from '../fleet-documents.ts';
import { counted, minute, table } from '../output.ts';

const ABOUT: Readonly<Record<ChannelKind, string>> = {
  channel: 'channels, which agents join and leave: #name',
  group: 'groups, whose members admins choose: %name',
};

export function addChannelCommands(program: Command, action: Action): void {
  for (const kind of ['channel', 'group'] as const) addKind(program, action, kind);
}

function addKind(program: Command, action: Action, kind: ChannelKind): void {
  const group = program.command(kind).description(ABOUT[kind]);
  const named = (name: string, about: string) =>
    group.command(name).description(about).argument(`<${kind}>`, 'by name or id');
  group
    .command('create')
    .description(`make a ${kind}; one that is there stays as it is`)
    .argument('<name>', '1 to 50 letters, digits and hyphens')
    .action(action(create(kind)));
  named('delete', `end a ${kind}; its agents stay`).action(action(remove(kind)));
  group
    .command('list')
    .description(`all ${kind}s of the org`)
    .action(action(list(kind)));
  named('members', `the agents of a ${kind}`).action(action(members(kind)));
  named('join', `bring agents into a ${kind}`)
    .argument('<agents...>', 'by name or id')
    .action(action(change(kind, 'join')));
  named('leave', `take agents out of a ${kind}`)
    .argument('<agents...>', 'by name or id')
    .action(action(change(kind, 'leave')));
}

type Run = (context: CommandContext, options: object, ...given: never[]) => Promise<void>;

const line = (channel: Channel) => `${signed(channel)}: ${counted(channel.members, 'member')}`;
const signed = ({ kind, name }: Channel) => `${kind === 'group' ? '%' : '#'}${name}`;

function create(kind: ChannelKind): Run {
  return async (context, _options, given: string) => {
    const { channel } = await (await context.hub()).registry.createChannel({
      name: channelName(kind, given),
      kind,
    });
    context.output.result({ [kind]: channelDocument(channel!) }, () => line(channel!));
  };
}

function remove(kind: ChannelKind): Run {
  return async (context, _options, given: string) => {
    const channel = channelAddress(kind, given);
    await (await context.hub()).registry.deleteChannel({ channel });
    context.output.result({ [kind]: channel, deleted: true }, () => `${channel} is deleted`);
  };
}

function list(kind: ChannelKind): Run {
  return async (context) => {
    const channels = await allChannels(await context.hub(), kind);
    context.output.result({ [`${kind}s`]: channels.map(channelDocument) }, () =>
      channels.length === 0
        ? `no ${kind}s yet; make one with: fleetwire ${kind} create NAME`
        : table(
            ['NAME', 'MEMBERS', 'CREATED', 'BY', 'ID'],
            channels.map((c) => [signed(c), String(c.members), minute(c.createdAtMs), c.createdBy, c.id]),
          ),
    );
  };
}

function members(kind: ChannelKind): Run {
  return async (context, _options, given: string) => {
    const channel = channelAddress(kind, given);
    const agents = await allMembersOf(await context.hub(), channel);
    context.output.result({ [kind]: channel, agents: agents.map(agentDocument) }, () =>
      agents.length === 0
        ? `${channel} has no members`
        : table(
            ['NAME', 'STATUS', 'NODE', 'ID'],
            agents.map((a) => [a.name, a.status, a.nodeName, a.id]),
          ),
    );
  };
}

function change(kind: ChannelKind, how: 'join' | 'leave'): Run {
  return async (context, _options, given: string, named: readonly string[]) => {
    const request = { channel: channelAddress(kind, given), agents: checkAgents(named) };
    const { registry } = await context.hub();
    const { channel } = await (how === 'join'
      ? registry.joinChannel(request)
      : registry.leaveChannel(request));
    context.output.result({ [kind]: channelDocument(channel!) }, () => line(channel!));
  };
}
