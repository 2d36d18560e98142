/** What the handlers are made of. */

import type { Caller, TokenSigner } from '@fleetwire/identity';
import type { Clock } from '@fleetwire/kernel';
import type { OrgConfig } from '../config.ts';
import type { ApiKeyRows } from '../store/api-keys.ts';
import type { JoinTokenRows } from '../store/join-tokens.ts';

export interface OrgParts {
  readonly keys: ApiKeyRows;
  readonly joinTokens: JoinTokenRows;
  readonly tokens: TokenSigner;
  readonly clock: Clock;
  readonly config: OrgConfig;
}

export type { Caller };

export const nowMs = (clock: Clock): number => Math.floor(clock.nowUs() / 1000);
