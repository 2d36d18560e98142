/** Which tokens of the node's org are refused here, as heartbeats and events have told. */

import { compileOrg, type OrgAccess } from '@fleetwire/access';
import { OrgState, type Revocation } from '@fleetwire/gen/access';
import type { Caller } from '@fleetwire/identity';
import { TOKEN_LIFETIME_MAX_MS } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';

export interface OrgTokensParts {
  readonly org: string;
  /** Revocations that are remembered, at least 2. */
  readonly max: number;
  nowMs(): number;
  /** Called with what is to be given to `restore` after a restart. */
  changed(remembered: string): void;
}

const ORG = 'org';
const KINDS: readonly string[] = [ORG, 'user', 'key'];

/** What was once refused stays refused, whatever comes in whatever order, for as long as such a token may live. */
export class OrgTokens {
  readonly #parts: OrgTokensParts;
  /** By kind and subject. */
  #known = new Map<string, Revocation>();
  #status = '';
  #access: OrgAccess;

  constructor(parts: OrgTokensParts) {
    this.#parts = parts;
    this.#access = this.#compiled();
  }

  /** What an earlier run knew; anything else is ignored. */
  restore(remembered: string | undefined): void {
    try {
      const { status, revocations } = OrgState.fromJSON(JSON.parse(remembered ?? '{}'));
      this.#status = status;
      this.#merge(revocations);
      this.#access = this.#compiled();
    } catch {
      // The next heartbeat says it again.
    }
  }

  /** `status` '': nothing is said of it. */
  learn(revocations: readonly Revocation[], status = ''): void {
    const before = this.#text();
    if (status !== '') this.#status = status;
    this.#merge(revocations);
    if (this.#text() === before) return;
    this.#access = this.#compiled();
    this.#parts.changed(this.#text());
  }

  /** TOKEN_REVOKED or ORG_CLOSED; undefined: the token is good. */
  refusal({ subject: user, key, issuedAtMs }: Caller): FleetwireError | undefined {
    return this.#access.revoked({ user, key, issuedAtMs });
  }

  #merge(revocations: readonly Revocation[]): void {
    for (const told of revocations) {
      if (!KINDS.includes(told.kind) || !Number.isSafeInteger(told.issuedUntilMs)) continue;
      const key = `${told.kind} ${told.subject}`;
      const before = this.#known.get(key);
      if (before === undefined || before.issuedUntilMs < told.issuedUntilMs) this.#known.set(key, told);
    }
    this.#shorten();
  }

  /** Without what no living token can meet; beyond the bound, the oldest become one for the whole org, never none. */
  #shorten(): void {
    const pastMs = this.#parts.nowMs() - TOKEN_LIFETIME_MAX_MS;
    const newestFirst = [...this.#known].sort(([, a], [, b]) => b.issuedUntilMs - a.issuedUntilMs);
    const living = newestFirst.filter(([, { issuedUntilMs }]) => issuedUntilMs >= pastMs);
    const room = living.length > this.#parts.max ? this.#parts.max - 1 : this.#parts.max;
    this.#known = new Map(living.slice(0, room));
    const dropped = living[room]?.[1];
    if (dropped !== undefined)
      this.#merge([{ kind: ORG, subject: '', issuedUntilMs: dropped.issuedUntilMs }]);
  }

  #compiled(): OrgAccess {
    const { org } = this.#parts;
    return compileOrg(
      OrgState.fromPartial({ org, status: this.#status, revocations: [...this.#known.values()] }),
    );
  }

  #text(): string {
    return JSON.stringify({ status: this.#status, revocations: [...this.#known.values()] });
  }
}
