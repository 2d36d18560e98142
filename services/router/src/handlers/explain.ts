/** RouterService.Explain: where a message would go, and why, by the same decision that routes it. */

import type { ExplainRequest, ExplainResponse } from '@fleetwire/gen/router';
import { ExplainResponse as Response } from '@fleetwire/gen/router';
import type { Caller } from '@fleetwire/identity';
import type { Clock } from '@fleetwire/kernel';
import { FleetwireError } from '@fleetwire/kernel';
import type { KnownName, Names, Resolution, Suggestions } from '../domain/resolve.ts';
import { resolve } from '../domain/resolve.ts';
import type { RouteEntry } from '../domain/routing-table.ts';
import type { NameLookup } from './name-lookup.ts';

export interface ExplainOptions {
  readonly names: Names;
  readonly lookup: NameLookup;
  readonly suggest: Suggestions;
  readonly clock: Clock;
}

/** Users and nodes ask about their own org; services may name another. */
export function explain(options: ExplainOptions) {
  return async (
    request: ExplainRequest,
    context: { caller: Caller | undefined },
  ): Promise<ExplainResponse> => {
    const org = orgOf(request, context.caller);
    const resolved = (names: Names) => resolve(names, org, request.to, undefined, options.clock.nowUs());
    let found = resolved(options.names);
    if (found.kind === 'ask') {
      const question = { org, folded: found.folded };
      const known = await new Promise<KnownName>((done) => options.lookup.find(question, done));
      found = resolved({ ...options.names, known: () => known });
    }
    return responseOf(options, org, request.to, found);
  };
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
  const route = found.kind === 'ask' ? undefined : found.route;
  const said = route === undefined ? {} : about(options.names, route);
  if (found.kind === 'route') {
    const { name, nodeName, subject } = found.route;
    const detail = found.picked ?? `${name} lives on ${nodeName}`;
    return Response.fromPartial({ ...said, routable: true, subject, detail });
  }
  const { reason, detail } = found.kind === 'dead' ? found : { reason: 'UNKNOWN_AGENT', detail: '' };
  const near = reason === 'UNKNOWN_AGENT' ? options.suggest.near(org, to, options.clock.nowUs()) : [];
  return Response.fromPartial({ ...said, routable: false, reason, detail, suggestions: near });
}

function about(names: Names, route: RouteEntry) {
  const { agent, name, node, nodeName, epoch } = route;
  const state = names.table.node(route.org, node);
  const online = state?.draining === true ? 'draining' : 'online';
  const nodeStatus = state === undefined ? '' : state.online ? online : 'offline';
  return { agent, name, node, nodeName, epoch, nodeStatus };
}
