/** What an agent says of itself. */

import type { AgentProfile } from '@fleetwire/gen/registry';

export interface Profile {
  /** At most 100 characters. */
  readonly model?: string | undefined;
  /** What it can do, for mail to `?review`: at most 32, each up to 64 of a-z, 0-9, dot, underscore and hyphen. */
  readonly capabilities?: readonly string[] | undefined;
  /** What it may use: left out means all, an empty list none; at most 256. */
  readonly tools?: readonly string[] | undefined;
  /** Such as github.com/acme/app; at most 256 characters. */
  readonly repo?: string | undefined;
  /** Default isolated. */
  readonly visibility?: 'isolated' | 'shared' | 'group' | undefined;
  /** Name of the group, with visibility group. */
  readonly group?: string | undefined;
  /** True: another node of the same owner may take it over while its node is away. Default false. */
  readonly movable?: boolean | undefined;
}

/** The node checks it. */
export function profileOf(profile: Profile | undefined): AgentProfile | undefined {
  if (profile === undefined) return undefined;
  const { tools, capabilities = [], model = '', repo = '', visibility = '' } = profile;
  const { group = '', movable = false } = profile;
  return {
    model,
    capabilities: [...capabilities],
    tools: tools && { tools: [...tools] },
    repo,
    visibility,
    group,
    location: undefined,
    movable,
  };
}
