/** Programs of this node's agents: started, found again after a restart, handed their mail, ended. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Location } from '@fleetwire/gen/registry';
import { asFleetwireError, type Clock, FleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Adapter, AdapterFactory, ProgramOutgoing, ProgramState } from '../adapters/port.ts';
import type { Entry } from '../domain/queue.ts';
import type { Custody } from '../mail/custody.ts';
import { ProgramRunner } from '../mail/program-runner.ts';
import { StreamSession } from '../mail/stream-session.ts';
import type { AgentTable, ProgramSpec } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { AgentBook } from './agent-book.ts';
import { agentToken } from './agent-token.ts';
import type { HostedAgent } from './hosted-agent.ts';
import { keepQueue } from './keep-queue.ts';
import type { Newcomer } from './one-agent.ts';
import type { Registration } from './registration.ts';

export type ProgramKind = 'tmux' | 'stdio' | 'mailbox';
type Introduction = Pick<Newcomer, 'profile' | 'takeOver'>;

/** Whoever looks for the agent sees that nobody will answer there, and how that came. */
const ended = (how: string): Location => ({ kind: 'process', details: { ended: how } });

export interface ProgramsParts {
  readonly dir: string;
  readonly agentSecret: string;
  readonly observeMs: number;
  readonly lateProofMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly factories: Readonly<Record<'tmux' | 'stdio', AdapterFactory>>;
  readonly book: AgentBook;
  readonly table: AgentTable;
  readonly turns: Turns;
  readonly custody: Custody;
  readonly registration: Registration;
  /** Where this node answers. */
  address(): string;
  send(agent: HostedAgent, outgoing: ProgramOutgoing): Promise<{ id: string }>;
  injected(entry: Entry): void;
}

export class Programs {
  readonly #parts: ProgramsParts;
  readonly #runners = new Map<number, ProgramRunner>();

  constructor(parts: ProgramsParts) {
    this.#parts = parts;
  }

  runnerOf(agent: HostedAgent): ProgramRunner | undefined {
    return this.#runners.get(agent.num);
  }

  /** By which programs act as this agent: good until it is removed or gets another program. */
  tokenOf(agent: HostedAgent): string {
    return agentToken(this.#parts.agentSecret, agent);
  }

  /** At start: finds the programs again; one that cannot be found or started leaves its agent's mail waiting. */
  async startAll(): Promise<void> {
    for (const agent of this.#parts.book.present()) {
      if (agent.adapter !== 'tmux' && agent.adapter !== 'stdio') continue;
      await this.#start(agent).catch((error) => {
        this.#parts.log.warn({ err: asFleetwireError(error), agent: agent.name }, 'program not started');
        this.#parts.registration.located(agent, ended('not started'));
      });
    }
  }

  /** Registers an agent and starts its program; the same name again once that has ended. */
  async run(
    name: string,
    kind: ProgramKind,
    spec: ProgramSpec,
    more: Introduction = {},
  ): Promise<HostedAgent> {
    if (kind !== 'mailbox' && spec.command.length === 0) {
      throw new FleetwireError('invalid_argument', 'COMMAND_MISSING', 'an agent needs a command to run');
    }
    const known = this.#parts.book.byName(name);
    if (known !== undefined) this.#refuseRunning(known, kind);
    const agent = known ?? (await this.#parts.registration.ensure(name, { adapter: kind, spec, ...more }));
    if (known !== undefined) await this.#renew(known, kind, spec);
    await this.#parts.registration.describe(agent, more.profile);
    await keepQueue(this.#parts, agent, spec.queue);
    if (kind === 'mailbox') return agent;
    try {
      await this.#start(agent);
    } catch (error) {
      if (known === undefined) await this.remove(agent);
      throw error;
    }
    return agent;
  }

  /** Ends the session or program, returns the mail that waits, and removes the agent. */
  async remove(agent: HostedAgent): Promise<void> {
    const { turns, custody, book, table, registration } = this.#parts;
    const { taker } = agent;
    if (taker instanceof StreamSession) taker.goodbye('AGENT_REMOVED', 'the agent was removed');
    await this.end(agent);
    await turns.run(() => {
      custody.endRemoved(agent);
      table.markRemoved(agent.num);
      book.markRemoved(agent);
    });
    await registration.remove(agent);
  }

  /** The agent leaves: its program ends, what it was handed last is left as it is. */
  async end(agent: HostedAgent): Promise<void> {
    const runner = this.#runners.get(agent.num);
    this.#runners.delete(agent.num);
    await runner?.adapter.stop();
    await runner?.end();
  }

  /** Ends with the node: programs in panes go on, those on pipes could not and are ended. */
  async stop(): Promise<void> {
    const runners = [...this.#runners.values()];
    // Their ends are no news any more.
    this.#runners.clear();
    await Promise.all(
      runners.map(async (runner) => {
        if (runner.adapter.kind === 'stdio') await runner.adapter.stop();
        await runner.end();
      }),
    );
  }

  #refuseRunning(agent: HostedAgent, kind: ProgramKind): void {
    const running = this.#runners.get(agent.num)?.adapter.programState().state === 'running';
    if (!running && agent.taker === undefined && agent.adapter === kind) return;
    if (!running && agent.adapter !== 'stream' && agent.adapter !== 'mailbox') return;
    throw new FleetwireError('already_exists', 'AGENT_EXISTS', `${agent.name} is here already`, {
      help: 'Stop it first, or choose another name.',
    });
  }

  async #renew(agent: HostedAgent, kind: ProgramKind, spec: ProgramSpec): Promise<void> {
    const before = this.#runners.get(agent.num);
    this.#runners.delete(agent.num);
    await before?.end();
    await this.#parts.turns.run(() => {
      const { queue } = agent.spec;
      agent.spec = queue === undefined ? spec : { ...spec, queue };
      this.#parts.table.setProgram(agent.num, agent.spec, kind);
      agent.adapter = kind;
      agent.handle = '';
      agent.tokenEpoch++;
    });
  }

  async #start(agent: HostedAgent): Promise<void> {
    const { custody, turns, clock, observeMs, lateProofMs, injected, registration } = this.#parts;
    const log = this.#parts.log.child({ agent: agent.name });
    const adapter = this.#adapter(agent, log);
    adapter.onExit((state) => {
      log.info({ exitCode: state.exitCode }, 'program has ended');
      if (this.#runners.get(agent.num)?.adapter === adapter) registration.located(agent, ended(endOf(state)));
    });
    await adapter.start();
    const fabric = { clock, custody, turns, log, injected };
    const runner = new ProgramRunner({ agent, adapter, observeMs, lateProofMs, ...fabric });
    this.#runners.set(agent.num, runner);
    runner.begin();
    const { state, pid } = adapter.programState();
    if (state === 'running' && pid !== undefined)
      registration.located(agent, { kind: 'process', details: { pid: String(pid) } });
  }

  #adapter(agent: HostedAgent, log: Logger): Adapter {
    const { factories, dir, table, address, send } = this.#parts;
    const stateDir = join(dir, 'agents', agent.localId);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const env = {
      ...agent.spec.env,
      FLEETWIRE_NODE_ADDRESS: address(),
      // A program in a pane outlives the node, and the address does not.
      FLEETWIRE_NODE_FILE: join(dir, 'node.json'),
      FLEETWIRE_AGENT: agent.name,
      FLEETWIRE_AGENT_ID: agent.id,
      FLEETWIRE_AGENT_TOKEN: this.tokenOf(agent),
    };
    return factories[agent.adapter as 'tmux' | 'stdio']({
      agent: agent.id,
      name: agent.name,
      command: agent.spec.command,
      cwd: agent.spec.cwd,
      env,
      stateDir,
      handle: agent.handle,
      saveHandle: (handle) => {
        agent.handle = handle;
        table.setHandle(agent.num, handle);
      },
      send: (outgoing) => send(agent, outgoing),
      log,
    });
  }
}

const endOf = ({ exitCode }: ProgramState): string =>
  exitCode === undefined ? 'ended' : `exit code ${exitCode}`;
