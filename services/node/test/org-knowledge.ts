/** What a node of a test knows of its org: policies as they would come from the hub, channels and suspended agents. */

import { compileOrg } from '@fleetwire/access';
import { OrgState } from '@fleetwire/gen/access';
import { NOTHING_KNOWN, type OrgKnowledge } from '../src/mail/ways.ts';
import { ORG } from './engine-fixture.ts';

type Rules = NonNullable<Parameters<typeof OrgState.fromPartial>[0]>['policies'];
type Rule = Exclude<NonNullable<NonNullable<Rules>[number]['rules']>, never>[number];

/** An active org with one policy of these rules; none without any. */
export function orgState(version: number, rules: Rule[], org = ORG): OrgState {
  const policy = { id: 'pol_1', level: 'org', name: 'Talk', rules };
  return OrgState.fromPartial({ org, version, status: 'active', policies: rules.length > 0 ? [policy] : [] });
}

export interface Known {
  readonly rules?: Rule[];
  /** Ids by mark and name, as `#ops`. */
  readonly channels?: Readonly<Record<string, readonly string[]>>;
  readonly suspended?: readonly string[];
}

export function knowing({ rules = [], channels = {}, suspended = [] }: Known): OrgKnowledge {
  const access = compileOrg(orgState(1, rules));
  return {
    ...NOTHING_KNOWN,
    access: () => access,
    members: (kind, name) => {
      const ids = channels[`${kind === 'channel' ? '#' : '%'}${name}`];
      return ids && new Set(ids);
    },
    suspended: (agent) => suspended.includes(agent),
  };
}

/** May message nobody but those. */
export const onlyTo = (agents: string, ...patterns: string[]): Rule => ({ agents, canMessage: { patterns } });
/** So many messages a minute. */
export const limited = (agents: string, rateLimitPerMinute: number): Rule => ({ agents, rateLimitPerMinute });
