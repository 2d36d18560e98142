/** RunAgent, StopAgent, ListLocalAgents, AgentToken, Directory and NodeStatus. */

import { checkProfile } from '@fleetwire/contract';
import type {
  AgentTokenRequest,
  AgentTokenResponse,
  DirectoryRequest,
  DirectoryResponse,
  ListLocalAgentsResponse,
  LocalAgent,
  NodeStatusResponse,
  RunAgentRequest,
  RunAgentResponse,
  StopAgentRequest,
  StopAgentResponse,
} from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { callerOf } from '@fleetwire/rpc';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { ProgramKind, Programs } from '../agents/programs.ts';
import { toldProfile } from '../domain/profile.ts';
import { checkQueue } from '../domain/queue-settings.ts';
import type { Engine } from '../engine.ts';
import type { Directory } from '../hub/directory.ts';
import type { HubLink } from '../hub/hub-link.ts';
import type { LinkState } from '../hub/link-status.ts';
import { StreamSession } from '../mail/stream-session.ts';
import type { Callers, NodeContext } from './callers.ts';

export interface AgentHandlerParts {
  readonly engine: Engine;
  readonly callers: Callers;
  readonly programs: Programs;
  readonly directory: Directory;
  readonly version: string;
  link(): Pick<HubLink, 'state' | 'error' | 'draining' | 'protocol' | 'contender'>;
}

const KINDS: readonly string[] = ['tmux', 'stdio', 'mailbox'] satisfies ProgramKind[];

/** What programs are told of the link. */
const HUB: Readonly<Record<LinkState, string>> = {
  ACTIVE: 'active',
  REFUSED: 'refused',
  DISCONNECTED: 'disconnected',
  CONNECTING: 'connecting',
  HANDSHAKING: 'connecting',
  RECONNECTING: 'connecting',
};

export class AgentHandlers {
  readonly #parts: AgentHandlerParts;

  constructor(parts: AgentHandlerParts) {
    this.#parts = parts;
  }

  async runAgent(request: RunAgentRequest, context: NodeContext): Promise<RunAgentResponse> {
    const { callers, programs } = this.#parts;
    callers.allowed(context, 'admin');
    const { name, adapter, command, cwd, env, takeOver } = request;
    if (!KINDS.includes(adapter)) {
      throw new FleetwireError('invalid_argument', 'UNKNOWN_ADAPTER', `there is no adapter "${adapter}"`, {
        help: `Use ${KINDS.join(', ')}.`,
      });
    }
    const profile = request.profile && checkProfile(request.profile);
    const queue = request.queue && checkQueue(request.queue);
    const spec = { command, cwd: cwd || process.cwd(), env, ...(queue && { queue }) };
    const agent = await programs.run(name, adapter as ProgramKind, spec, { profile, takeOver });
    return { agent: this.#describe(agent) };
  }

  async stopAgent(request: StopAgentRequest, context: NodeContext): Promise<StopAgentResponse> {
    const { callers, engine, programs } = this.#parts;
    callers.allowed(context, 'admin');
    const agent = engine.book.named(request.name);
    await programs.remove(agent);
    return {};
  }

  async listLocalAgents(_request: unknown, context: NodeContext): Promise<ListLocalAgentsResponse> {
    this.#parts.callers.allowed(context, 'send');
    return { agents: [...this.#parts.engine.book.present()].map((agent) => this.#describe(agent)) };
  }

  /** Agents are told their own; whoever runs the node that of any agent here. */
  async agentToken({ name }: AgentTokenRequest, context: NodeContext): Promise<AgentTokenResponse> {
    const { callers, programs } = this.#parts;
    if (callerOf(context).kind !== 'agent') callers.allowed(context, 'admin');
    const agent = callers.actsAs(context, name);
    return { token: programs.tokenOf(agent), agent: agent.id, name: agent.name, adapter: agent.adapter };
  }

  async directory(request: DirectoryRequest, context: NodeContext): Promise<DirectoryResponse> {
    this.#parts.callers.allowed(context, 'send');
    return this.#parts.directory.page(request.pageSize, request.pageToken);
  }

  async nodeStatus(_request: unknown, context: NodeContext): Promise<NodeStatusResponse> {
    const { callers, engine, version, link } = this.#parts;
    callers.allowed(context, 'send');
    const { state, error, draining, protocol, contender } = link();
    const { node, name, org } = engine.identity;
    const hub = HUB[state];
    const depths = {
      outboxDepth: engine.outbox.depth,
      inboxDepth: engine.custody.depth,
      receiptsWaiting: engine.tables.receipts.count(),
    };
    return {
      node,
      name,
      org,
      hub,
      agents: engine.book.size,
      ...depths,
      version,
      hubError: error,
      draining,
      protocol,
      contender,
      heldBack: engine.backpressure.heldBack(),
    };
  }

  #describe(agent: HostedAgent): LocalAgent {
    const program = this.#parts.programs.runnerOf(agent)?.adapter.programState();
    const attached = agent.taker instanceof StreamSession ? 'attached' : '';
    const hasProgram = agent.adapter === 'tmux' || agent.adapter === 'stdio';
    return {
      id: agent.id,
      name: agent.name,
      adapter: agent.adapter,
      state: hasProgram ? (program?.state ?? 'exited') : attached,
      profile: toldProfile(agent.profile, agent.location),
      refused: agent.refused?.reason ?? '',
      refusedMessage: agent.refused?.message ?? '',
      suggestion: agent.refused?.suggestion ?? '',
      pid: program?.pid ?? 0,
      pane: program?.pane ?? '',
      queueDepth: agent.queue.depth,
      queue: { ...agent.queue.bounds },
      busy: agent.busy,
    };
  }
}
