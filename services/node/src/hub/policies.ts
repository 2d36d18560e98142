/** What the policies of the org say, as the hub last told it: kept on the disk, so that it holds while the hub is away. */

import { compileOrg, type OrgAccess } from '@fleetwire/access';
import { OrgState } from '@fleetwire/gen/access';
import { asFleetwireError, backoffMs, type Clock, FleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentTable } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { RegistryDoor } from './registry-door.ts';

export interface OrgPoliciesParts {
  readonly org: string;
  readonly meta: Pick<AgentTable, 'meta' | 'setMeta'>;
  readonly turns: Pick<Turns, 'run'>;
  readonly door: Pick<RegistryDoor, 'policies'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
}

const KEY = 'policies';
/** Between two calls while they fail. */
const RETRY = { initialMs: 1000, maxMs: 60_000 } as const;

export class OrgPolicies {
  readonly #parts: OrgPoliciesParts;
  #access: OrgAccess | undefined;
  #asking: Promise<void> | undefined;
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #said = '';

  constructor(parts: OrgPoliciesParts) {
    this.#parts = parts;
    const kept = parts.meta.meta(KEY);
    if (kept !== undefined) this.#restore(kept);
  }

  /** Undefined: the hub has never said; then everything is allowed here, as it is where no policy speaks. */
  get access(): OrgAccess | undefined {
    return this.#access;
  }

  /** The hub has taken this node, perhaps for the first time: what it has never said is asked for at once. Never rejects. */
  async greeted(): Promise<void> {
    if (this.#access === undefined) await this.#askOnce();
  }

  /** With each heartbeat that was answered, `version` 0 from a hub that does not say. Never rejects. */
  async told(version: number): Promise<void> {
    if (version <= (this.#access?.version ?? 0)) return;
    if (this.#parts.clock.monotonicMs() >= this.#notBeforeMs) await this.#askOnce();
  }

  #askOnce(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { clock, door, log } = this.#parts;
    try {
      const { state } = await door.policies({ version: this.#access?.version ?? 0 });
      if (state !== undefined) await this.#take(state);
      this.#failures = 0;
      this.#said = '';
    } catch (thrown) {
      const error = asFleetwireError(thrown);
      this.#notBeforeMs = clock.monotonicMs() + backoffMs(RETRY, this.#failures++);
      if (error.kind === 'unimplemented' || this.#said === error.reason) return;
      log.warn({ err: error }, 'the policies of the org are not up to date');
      this.#said = error.reason;
    }
  }

  async #take(state: OrgState): Promise<void> {
    const { org, meta, turns, log } = this.#parts;
    if (state.org !== org)
      throw new FleetwireError('internal', 'REGISTRY_ANSWER', 'these are the policies of another org');
    if (state.version <= (this.#access?.version ?? 0)) return;
    const kept = Buffer.from(OrgState.encode(state).finish()).toString('base64');
    await turns.run(() => meta.setMeta(KEY, kept));
    this.#access = compileOrg(state);
    log.info(
      { version: state.version, policies: state.policies.length },
      'the policies of the org are known',
    );
  }

  /** What cannot be read is asked for anew. */
  #restore(kept: string): void {
    try {
      const state = OrgState.decode(Buffer.from(kept, 'base64'));
      if (state.org === this.#parts.org) this.#access = compileOrg(state);
    } catch (error) {
      this.#parts.log.warn({ err: asFleetwireError(error) }, 'the policies of the org cannot be read');
    }
  }
}
