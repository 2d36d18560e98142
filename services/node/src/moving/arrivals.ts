/** Agents that come here from another node: what was theirs there goes before what is sent here directly. */

import type { Envelope, InboxEntry, MoveMark } from '@fleetwire/gen/message';
import { foldName, isName } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Custody } from '../mail/custody.ts';
import { type AdapterKind, type AgentTable, NO_PROGRAM } from '../store/agent-table.ts';
import type { MovingTable } from '../store/moving-table.ts';

export interface ArrivalsParts {
  readonly book: AgentBook;
  readonly agents: AgentTable;
  readonly moving: MovingTable;
  readonly custody: Custody;
  readonly log: Logger;
}

const ADAPTERS: readonly string[] = ['tmux', 'stdio', 'stream', 'mailbox'] satisfies AdapterKind[];

/** Everything here is in a turn, and can be repeated: marks come at least once. */
export class Arrivals {
  readonly #parts: ArrivalsParts;

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /** The registry says by its answer that mail is still on its way to an agent that is new here; not by which move. */
  expected(agent: HostedAgent): void {
    this.#set(agent, { arriving: 1 });
  }

  /** As `announced`, for one that had left this node and that the registry says lives here; undefined: it had not. */
  returned(agent: Pick<MoveMark, 'agent' | 'name' | 'adapter'>, arriving: boolean): HostedAgent | undefined {
    const before = this.#parts.book.leaving(agent.agent)?.moving.leavingEpoch;
    if (before === undefined) return undefined;
    const back = this.#returning({ ...agent, epoch: before + 1, end: false });
    if (back !== undefined && arriving) this.#set(back, { arriving: before + 1 });
    return back;
  }

  /** The agent lives here from now on, though its mail has not come yet. */
  announced(mark: MoveMark): void {
    const { book } = this.#parts;
    const agent = book.byId(mark.agent) ?? this.#returning(mark) ?? this.#fresh(mark);
    if (agent !== undefined && mark.epoch > agent.moving.arrivedEpoch)
      this.#set(agent, { arriving: mark.epoch });
  }

  /** One entry of what comes with the agent; one without recipients had its end at the old node. */
  take(agent: HostedAgent, entry: InboxEntry, envelope: Envelope): void {
    const { custody } = this.#parts;
    if (entry.recipients.length === 0) {
      custody.remember(agent, envelope);
      return;
    }
    const { ingressAtUs, routedAtUs, router, deadlineUs } = entry;
    const arrival = { ingressAtUs, routedAtUs, router, deadlineUs, history: true };
    custody.hold(agent, envelope, entry.envelope, arrival, 'moved');
  }

  /** All of it has come: the agent is handed its mail, and what was held back follows. */
  complete(mark: MoveMark): void {
    const agent = this.#parts.book.byId(mark.agent);
    if (agent === undefined || mark.epoch < agent.moving.arriving) return;
    this.#set(agent, { arriving: 0, arrivedEpoch: mark.epoch });
    this.#parts.custody.touch(agent);
  }

  /** Inside a turn: the registry had forgotten it and has it by another id now, with which nothing comes from elsewhere. */
  anew(agent: HostedAgent): void {
    if (agent.moving.arriving === 0) return;
    this.#set(agent, { arriving: 0 });
    this.#parts.custody.touch(agent);
  }

  /** It had left this node before, and all that it had here is gone since. */
  #returning(mark: MoveMark): HostedAgent | undefined {
    const { book, agents } = this.#parts;
    const agent = book.leaving(mark.agent);
    if (agent === undefined || mark.epoch <= agent.moving.leavingEpoch) return undefined;
    const { name, adapter } = this.#named(mark);
    agents.takeBack(agent.num, name, this.#foldedFor(agent.id, name), adapter);
    Object.assign(agent, { name, adapter, taker: undefined, registered: true });
    agent.tokenEpoch++;
    book.takeBack(agent);
    this.#set(agent, { leavingEpoch: 0, marked: false, leftAtUs: 0 });
    this.#parts.custody.actOnCancels(agent);
    return agent;
  }

  #fresh(mark: MoveMark): HostedAgent | undefined {
    if (!isName(mark.name)) {
      this.#parts.log.error({ agent: mark.agent }, 'an agent was announced without a name that can be used');
      return undefined;
    }
    const { book, agents, log } = this.#parts;
    const { name, adapter } = this.#named(mark);
    const row = { id: mark.agent, name, adapter, spec: NO_PROGRAM };
    const agent = book.add(agents.insert(row, this.#foldedFor(mark.agent, name)));
    agent.registered = true;
    log.info({ agent: name }, 'an agent moves here');
    return agent;
  }

  #named(mark: MoveMark): { name: string; adapter: AdapterKind } {
    const adapter = ADAPTERS.includes(mark.adapter) ? (mark.adapter as AdapterKind) : 'mailbox';
    return { name: mark.name, adapter };
  }

  /** The name is this agent's by the registry's word; one of the same name that is still here will learn that it is not. */
  #foldedFor(id: string, name: string): string {
    const holder = this.#parts.book.byName(name);
    return holder === undefined || holder.id === id ? foldName(name) : id;
  }

  #set(agent: HostedAgent, change: Partial<HostedAgent['moving']>): void {
    Object.assign(agent.moving, change);
    if (agent.moving.arriving > 0) agent.fence.raise();
    this.#parts.moving.save(agent.num, agent.moving);
  }
}
