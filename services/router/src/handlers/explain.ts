/** RouterService.Explain: where a message would go, and why, by the same decision that routes it. */

import type { ExplainNode, ExplainRequest, ExplainResponse } from '@fleetwire/gen/router';
import { ExplainResponse as Response } from '@fleetwire/gen/router';
import type { Caller } from '@fleetwire/identity';
import type { Clock } from '@fleetwire/kernel';
import { FleetwireError, foldName, printable } from '@fleetwire/kernel';
import { countText, type FanOut } from '../domain/fan-out.ts';
import type { Admitted, HouseRules } from '../domain/house-rules.ts';
import type { KnownName, Names, Resolution } from '../domain/resolve.ts';
import { NOBODY, resolve } from '../domain/resolve.ts';
import type { RouteEntry } from '../domain/routing-table.ts';
import type { Suggestions } from '../domain/suggestions.ts';
import type { NameLookup } from './name-lookup.ts';

export interface ExplainOptions {
  readonly names: Names;
  readonly lookup: NameLookup;
  readonly suggest: Suggestions;
  readonly clock: Clock;
  /** Undefined: no policy is asked. */
  readonly rules?: HouseRules | undefined;
}

/** Nodes that are listed of a message to many. */
const NODES_SHOWN = 100;

/**
 * Users and nodes ask about their own org; services may name another. Rejects not_found UNKNOWN_AGENT for a sender that
 * there is not.
 */
export function explain(options: ExplainOptions) {
  return async (
    request: ExplainRequest,
    context: { caller: Caller | undefined },
  ): Promise<ExplainResponse> => {
    const { clock, names } = options;
    const org = orgOf(request, context.caller);
    const from = request.from === '' ? undefined : await senderOf(options, org, request.from);
    const asking = from === undefined ? NOBODY : askingOf(options, from);
    const resolved = (by: Names) => resolve(by, org, request.to, asking, clock.nowUs());
    let found = resolved(names);
    if (found.kind === 'ask') {
      const known = await askAbout(options, org, found.folded);
      found = resolved({ ...names, known: () => known });
    }
    if (from === undefined) return responseOf(options, org, request.to, found);
    return withPolicies(options, from, request.to, found);
  };
}

function askingOf({ rules }: ExplainOptions, { org, agent, node, name }: RouteEntry) {
  const may = rules?.picks(org, name);
  return { ...NOBODY, fromAgent: agent, fromNode: node, ...(may && { may }) };
}

function askAbout({ lookup }: ExplainOptions, org: string, folded: string): Promise<KnownName> {
  return new Promise<KnownName>((done) => lookup.find({ org, folded }, done));
}

async function senderOf(options: ExplainOptions, org: string, name: string): Promise<RouteEntry> {
  const folded = foldName(name);
  const there = options.names.table.find(org, folded) ?? (await askAbout(options, org, folded)).route;
  if (there !== undefined) return there;
  throw new FleetwireError('not_found', 'UNKNOWN_AGENT', `no agent "${printable(name)}" in your org`, {
    help: 'Name an agent that would send the message, or nobody.',
  });
}

function orgOf(request: ExplainRequest, caller: Caller | undefined): string {
  const own = caller?.org ?? '';
  if (request.org === '' || request.org === own) {
    if (own !== '') return own;
    throw new FleetwireError('invalid_argument', 'ORG_REQUIRED', 'no org was named', {
      help: 'Name the org whose address this is.',
    });
  }
  if (caller?.kind === 'service') return request.org;
  throw new FleetwireError('permission_denied', 'NOT_YOUR_ORG', 'only your own org can be asked about');
}

function responseOf(options: ExplainOptions, org: string, to: string, found: Resolution): ExplainResponse {
  if (found.kind === 'many') return aboutMany(options.names, found);
  const route = found.kind === 'ask' ? undefined : found.route;
  const said = route === undefined ? {} : about(options.names, route);
  if (found.kind === 'route') {
    const { name, nodeName, subject } = found.route;
    const detail = found.picked ?? `${name} lives on ${nodeName}`;
    return Response.fromPartial({ ...said, routable: true, subject, detail, recipients: 1 });
  }
  const { reason, detail } = found.kind === 'dead' ? found : { reason: 'UNKNOWN_AGENT', detail: '' };
  const suggestions = options.suggest.near(org, to, options.clock.nowUs(), reason);
  return Response.fromPartial({ ...said, routable: false, reason, detail, suggestions });
}

function aboutMany(names: Names, many: FanOut): ExplainResponse {
  const largest = [...many.shares].sort((a, b) => b.recipients.length - a.recipients.length);
  const nodes = largest.slice(0, NODES_SHOWN).map(({ place, recipients }): ExplainNode => {
    const { org, node, nodeName, many: subject } = place;
    const nodeStatus = statusOf(names, org, node);
    return { node, nodeName, subject, recipients: recipients.length, nodeStatus };
  });
  return Response.fromPartial({ routable: true, detail: countText(many), recipients: many.count, nodes });
}

/** As the policies leave it for this sender. */
function withPolicies(
  options: ExplainOptions,
  { org, name: actor }: RouteEntry,
  to: string,
  found: Resolution,
): ExplainResponse {
  const { rules } = options;
  if (found.kind === 'many') {
    const { found: left, left: out, decision } = rules?.narrowed(org, actor, found) ?? NO_POLICIES(found);
    const response = responseOf(options, org, to, left);
    if (decision === undefined) return response;
    const { allowed, reason, explanation } = decision;
    const policy = allowed ? explanation : `${explanation} It leaves ${out} of ${found.count} out.`;
    return left.count > 0
      ? { ...response, policy }
      : { ...response, ...refusedBy(reason, explanation), policy };
  }
  const response = responseOf(options, org, to, found);
  const decision = found.kind === 'route' ? rules?.decide(org, actor, found.route.name) : undefined;
  if (decision === undefined) return response;
  const { allowed, reason, explanation: policy } = decision;
  return allowed ? { ...response, policy } : { ...response, ...refusedBy(reason, policy), policy };
}

const NO_POLICIES = (found: FanOut): Admitted => ({ found, left: 0, decision: undefined });
const refusedBy = (reason: string, detail: string) => ({ routable: false, reason, detail });

function about(names: Names, route: RouteEntry) {
  const { org, agent, name, node, nodeName, epoch } = route;
  return { agent, name, node, nodeName, epoch, nodeStatus: statusOf(names, org, node) };
}

/** Empty: the table has no entry of it. */
function statusOf(names: Names, org: string, node: string): string {
  const state = names.table.node(org, node);
  if (state === undefined) return '';
  if (!state.online) return 'offline';
  return state.draining ? 'draining' : 'online';
}
