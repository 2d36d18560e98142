/** Which tokens of an org are no longer good. */

import type { OrgState } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';

/** What a token says of itself. */
export interface TokenFacts {
  /** Id of the user whom it was issued to. */
  readonly user: string;
  /** Id of the API key that it was exchanged for. */
  readonly key: string;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAtMs: number;
}

/** Immutable. Takes a copy of what it needs. */
export class Revocations {
  readonly #org: string;
  #orgUntilMs = Number.NEGATIVE_INFINITY;
  readonly #untilMs = { user: new Map<string, number>(), key: new Map<string, number>() };

  constructor(org: string, revocations: OrgState['revocations']) {
    this.#org = org;
    for (const { kind, subject, issuedUntilMs } of revocations) {
      if (kind === 'org') this.#orgUntilMs = Math.max(this.#orgUntilMs, issuedUntilMs);
      else if ((kind === 'user' || kind === 'key') && subject !== '') {
        const until = this.#untilMs[kind];
        until.set(subject, Math.max(until.get(subject) ?? issuedUntilMs, issuedUntilMs));
      }
    }
  }

  /** `unauthenticated` `TOKEN_REVOKED` for what was issued at or before the moment of a revocation. */
  refusal(token: TokenFacts): FleetwireError | undefined {
    const { user, key, issuedAtMs } = token;
    if (isCovered(issuedAtMs, this.#orgUntilMs)) return this.#revoked('org');
    if (isCovered(issuedAtMs, this.#untilMs.user.get(user))) return this.#revoked('user');
    if (isCovered(issuedAtMs, this.#untilMs.key.get(key))) return this.#revoked('key');
    return undefined;
  }

  #revoked(by: 'org' | 'user' | 'key'): FleetwireError {
    const message = {
      org: 'all tokens of the org that are as old as this one were revoked',
      user: 'the tokens of this user were revoked',
      key: 'the API key that this token comes from was revoked',
    }[by];
    return new FleetwireError('unauthenticated', 'TOKEN_REVOKED', message, {
      help: 'Exchange an API key that is still good for a new token; if you have none, ask an admin of the org.',
      details: { org: this.#org, revoked: by },
    });
  }
}

/** A token that does not tell when it was issued is as old as can be. */
function isCovered(issuedAtMs: number, untilMs: number | undefined): boolean {
  if (untilMs === undefined || untilMs === Number.NEGATIVE_INFINITY) return false;
  return !(issuedAtMs > untilMs);
}
