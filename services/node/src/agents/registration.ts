/** Agents of this node at the registry: new names at once, known ones again when the hub asks, removals when it is there. */

import { asFleetwireError, checkName, FleetwireError, foldName } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryDoor } from '../hub/registry-door.ts';
import type { Arrivals } from '../moving/arrivals.ts';
import { type AdapterKind, type AgentTable, NO_PROGRAM, type ProgramSpec } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { AgentBook } from './agent-book.ts';
import type { HostedAgent } from './hosted-agent.ts';

export interface RegistrationParts {
  readonly book: AgentBook;
  readonly table: AgentTable;
  readonly turns: Turns;
  readonly door: RegistryDoor;
  readonly log: Logger;
  readonly agentsMax: number;
  readonly arrivals: Pick<Arrivals, 'expected' | 'returned'>;
}

/** Calls to the registry at the same time. */
const AT_ONCE = 8;

export class Registration {
  readonly #parts: RegistrationParts;
  #catchingUp = false;
  readonly #underWay = new Map<string, Promise<HostedAgent>>();

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
  }

  /** The agent of that name, registered now when it is new; needs the hub only then. */
  async ensure(name: string, adapter: AdapterKind, spec: ProgramSpec = NO_PROGRAM): Promise<HostedAgent> {
    checkName(name, 'agent');
    const present = this.#parts.book.byName(name);
    if (present !== undefined) return present;
    const key = foldName(name);
    const before = this.#underWay.get(key);
    if (before !== undefined) return before;
    const registering = this.#register(name, adapter, spec).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, registering);
    return registering;
  }

  /** The registry may have forgotten everything. */
  forgotten(): void {
    for (const agent of this.#parts.book.present()) agent.registered = false;
  }

  /** Tells the registry what it does not know yet: agents, removals. What fails is tried again at the next call. */
  async catchUp(): Promise<void> {
    if (this.#catchingUp) return;
    this.#catchingUp = true;
    try {
      await this.#tell();
    } finally {
      this.#catchingUp = false;
    }
  }

  async #tell(): Promise<void> {
    const waiting = [...this.#parts.book.present()].filter((agent) => !agent.registered);
    const worker = async () => {
      for (let agent = waiting.pop(); agent !== undefined; agent = waiting.pop()) await this.#announce(agent);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    for (const agent of this.#parts.book.removed()) await this.#deregister(agent);
  }

  /** The agent is gone from this node at once, from the registry when it is there. Its queue must be empty. */
  async remove(agent: HostedAgent): Promise<void> {
    await this.#deregister(agent);
  }

  async #register(name: string, adapter: AdapterKind, spec: ProgramSpec): Promise<HostedAgent> {
    const { book, table, turns, door, agentsMax } = this.#parts;
    if (book.size >= agentsMax) {
      throw new FleetwireError(
        'resource_exhausted',
        'TOO_MANY_AGENTS',
        `this node hosts ${book.size} agents`,
        {
          help: 'Stop some, or raise FLEETWIRE_NODE_AGENTS.',
        },
      );
    }
    const registered = await this.#reach(() => door.registerAgent(name, adapter));
    return turns.run(() => {
      // It was announced here before the answer came.
      const { id: agentId, moving } = registered;
      const announced =
        book.byId(agentId) ??
        this.#parts.arrivals.returned({ agent: agentId, name: registered.name, adapter }, moving);
      if (announced !== undefined) return announced;
      const row = table.insert({ id: registered.id, name: registered.name, adapter, spec }, foldName(name));
      const agent = book.add(row);
      agent.registered = true;
      if (moving) this.#parts.arrivals.expected(agent);
      return agent;
    });
  }

  async #reach<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (cause) {
      const error = asFleetwireError(cause);
      if (error.kind !== 'unavailable') throw error;
      throw new FleetwireError('unavailable', 'HUB_UNREACHABLE', 'a new agent needs the hub, which is away', {
        help: 'Try again when `fleetwire status` shows the hub as active; known agents go on meanwhile.',
        cause,
      });
    }
  }

  async #announce(agent: HostedAgent): Promise<void> {
    const { door, log, turns, table, book } = this.#parts;
    try {
      const { id } = await door.registerAgent(agent.name, agent.adapter);
      agent.registered = true;
      if (id === agent.id) return;
      log.warn(
        { agent: agent.name, before: agent.id, now: id },
        'the registry knows this agent by another id',
      );
      await turns.run(() => {
        table.setId(agent.num, id);
        book.rename(agent, id);
      });
    } catch (error) {
      log.warn({ err: asFleetwireError(error), agent: agent.name }, 'agent not registered');
    }
  }

  async #deregister(agent: HostedAgent): Promise<void> {
    const { door, log, turns, table, book } = this.#parts;
    try {
      await door.deregisterAgent(agent.id);
      await turns.run(() => {
        table.delete(agent.num);
        book.forget(agent);
      });
    } catch (error) {
      log.warn({ err: asFleetwireError(error), agent: agent.name }, 'agent not removed at the registry yet');
    }
  }
}
