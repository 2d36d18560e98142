/** Agents of this node at the registry: new names at once, all of them again when the hub asks, removals when it is there. */

import type { AgentProfile, Location } from '@fleetwire/gen/registry';
import { asFleetwireError, type Clock, checkName, foldName } from '@fleetwire/kernel';
import { sameProfile } from '../domain/profile.ts';
import type { HostedAgent } from './hosted-agent.ts';
import { announce, deregister, type Newcomer, type OneAgentParts, register } from './one-agent.ts';
import { RosterGate } from './roster-gate.ts';
import { RosterSync } from './roster-sync.ts';

export interface RegistrationParts extends OneAgentParts {
  readonly clock: Clock;
  /** After which one that was refused is tried again, though nothing else has changed. */
  readonly retryMs: number;
}

/** Calls to the registry at the same time. */
const AT_ONCE = 8;

export class Registration {
  readonly #parts: RegistrationParts;
  readonly #roster: RosterSync;
  readonly #gate = new RosterGate();
  readonly #underWay = new Map<string, Promise<HostedAgent>>();
  #telling: Promise<void> | undefined;
  #again = false;
  /** The registry has another roster, or may have. */
  #differs = false;
  #retryAtMs = 0;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
    this.#roster = new RosterSync(parts);
  }

  /** The agent of that name, registered now when it is new; needs the hub only then. */
  async ensure(name: string, newcomer: Newcomer): Promise<HostedAgent> {
    checkName(name, 'agent');
    const present = this.#parts.book.byName(name);
    if (present !== undefined) return present;
    const key = foldName(name);
    const before = this.#underWay.get(key);
    if (before !== undefined) return before;
    const registering = this.#gate
      .shared(() => register(this.#parts, name, newcomer))
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, registering);
    return registering;
  }

  /** Kept with the agent at once; the registry learns it when it can. Undefined: what is known stays. */
  async describe(agent: HostedAgent, profile: AgentProfile | undefined): Promise<void> {
    if (profile === undefined || sameProfile(agent.profile, profile)) return;
    await this.#parts.turns.run(() => {
      this.#parts.table.setProfile(agent.num, profile);
      agent.profile = profile;
      agent.described = false;
    });
    this.#hurry();
  }

  /** Where its program runs from now on; of no kind: nowhere. */
  located(agent: HostedAgent, location: Location): void {
    agent.location = location;
    agent.described = false;
    this.#hurry();
  }

  /** The registry may have forgotten everything. */
  forgotten(): void {
    this.#differs = true;
    for (const agent of this.#parts.book.present()) {
      agent.registered = false;
      agent.described = false;
    }
  }

  /** The registry says, or its directory shows, that it has another roster of this node. */
  rosterDiffers(): void {
    this.#differs = true;
    // Which ones it lacks is not said, and it is to have their profiles too.
    for (const agent of this.#parts.book.present()) agent.described = false;
    this.#hurry();
  }

  /**
   * Tells the registry what it does not know yet: agents, profiles, removals. One at a time; what comes up meanwhile
   * follows at once. What fails is tried again at the next call.
   */
  catchUp(): Promise<void> {
    if (this.#telling !== undefined) this.#again = true;
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
      // Asked for after the last look at what is due, in the same moment.
      if (this.#again) this.#hurry();
    });
    return this.#telling;
  }

  /** The agent is gone from this node at once, from the registry when it is there. Its queue must be empty. */
  async remove(agent: HostedAgent): Promise<void> {
    try {
      await this.#gate.shared(() => deregister(this.#parts, agent));
    } catch (error) {
      const err = asFleetwireError(error);
      this.#parts.log.warn({ err, agent: agent.name }, 'agent not removed at the registry yet');
    }
  }

  #hurry(): void {
    void this.catchUp().catch((error) =>
      this.#parts.log.debug({ err: asFleetwireError(error) }, 'agents not announced yet'),
    );
  }

  async #tellAll(): Promise<void> {
    do {
      this.#again = false;
      if (!this.#due()) return;
      if (!(await this.#gate.alone(() => this.#tellRoster()))) await this.#tellEach();
    } while (this.#again);
  }

  #due(): boolean {
    const { book, clock } = this.#parts;
    if (this.#differs || book.removed().length > 0) return true;
    const retry = clock.monotonicMs() >= this.#retryAtMs;
    for (const agent of book.present())
      if (agent.refused === undefined ? !agent.registered || !agent.described : retry) return true;
    return false;
  }

  async #tellRoster(): Promise<boolean> {
    this.#retryAtMs = this.#parts.clock.monotonicMs() + this.#parts.retryMs;
    const differed = this.#differs;
    this.#differs = false;
    try {
      return await this.#roster.tell();
    } catch (error) {
      this.#differs ||= differed;
      throw error;
    }
  }

  /** For a hub that takes no rosters. */
  async #tellEach(): Promise<void> {
    const waiting = [...this.#parts.book.present()].filter((agent) => !agent.registered || !agent.described);
    const worker = async () => {
      for (let agent = waiting.pop(); agent !== undefined; agent = waiting.pop())
        await announce(this.#parts, agent);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    for (const agent of this.#parts.book.removed()) await this.remove(agent);
  }
}
