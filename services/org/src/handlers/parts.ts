/** What the handlers are made of. */

import type { TokenSigner } from '@fleetwire/identity';
import type { Clock, FleetwireError } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { OrgConfig } from '../config.ts';
import type { ApiKeyRows } from '../store/api-keys.ts';
import type { JoinTokenRows } from '../store/join-tokens.ts';
import type { Denials } from './denials.ts';

export interface OrgParts {
  readonly store: Store;
  readonly keys: ApiKeyRows;
  readonly joinTokens: JoinTokenRows;
  readonly tokens: TokenSigner;
  readonly denials: Denials;
  readonly clock: Clock;
  readonly config: OrgConfig;
  /** Why there may be no second org on this broker; undefined: there may. */
  secondOrg(): FleetwireError | undefined;
  /** Plans are sold: a billing provider is configured. */
  readonly sold: boolean;
  /** Plan of an org that is made without one. */
  readonly defaultPlan: string;
  /** The public keys in force, as JSON. */
  publishedKeys(): Promise<string>;
  /** What the links of invites begin with. */
  publicUrl(): string;
  /** Something was committed that others must hear of, be billed for, be written to about. */
  committed(): void;
}

export { nowMs } from '@fleetwire/kernel';
