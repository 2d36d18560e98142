/** From the published state of an org to what answers questions about it. */

import type { OrgState } from '@fleetwire/gen/access';
import { OrgAccess } from './org-access.ts';

/** Agents whose rules are remembered for one org; about 300 bytes each. */
export const AGENTS_REMEMBERED_MAX = 10_000;

export interface CompileOptions {
  /** Default: `AGENTS_REMEMBERED_MAX`. */
  readonly agentsRememberedMax?: number;
}

/**
 * Compiles once for each version of the state; the answers of what it gives never change. Takes any state, also what
 * `checkPolicy` would refuse: a policy of an unknown level is for nobody. The state is not copied: leave it as it is.
 */
export function compileOrg(state: OrgState, options: CompileOptions = {}): OrgAccess {
  return new OrgAccess(state, options.agentsRememberedMax ?? AGENTS_REMEMBERED_MAX);
}
