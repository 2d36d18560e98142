/** Sync: what a node knows of its org, in full or what has changed, from the routing table in memory. */

import type { SyncRequest, SyncResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { OrgView, ViewEntry } from '../routing/org-view.ts';
import type { RegistryParts } from './parts.ts';

type SyncParts = Pick<RegistryParts, 'view' | 'orgs' | 'config'>;

/** Where a reader of pages is; any replica goes on from there. */
interface Place {
  /** Of a full answer: the last id; undefined: of an incremental one. */
  readonly after: string | undefined;
  /** From when on the next one has to ask. */
  readonly since: number;
}

const BYTES_MAX = 4 * 1024 * 1024;
/** Another replica may be a moment ahead of this one. */
const BEHIND = { pauseMs: 20, times: 50 } as const;
const TOKEN = /^(\d{1,16}):([anc]_[\w-]{1,64})?$/;

/**
 * What was asked since a revision that is too long ago, or that this replica does not come to know within a second, is
 * answered in full. Each page may come from another replica; what changes while pages are read is told by the call that
 * follows.
 */
export async function sync(parts: SyncParts, request: SyncRequest, caller: Caller): Promise<SyncResponse> {
  const { org } = requireNode(caller);
  requireOpen(parts.orgs, org);
  const place = readPlace(request.pageToken);
  const since = place?.since ?? request.revision;
  if (place?.after === undefined) await caughtUp(parts, org, since);
  const view = parts.view.viewOf(org);
  if (view === undefined) return answer({ full: true, entries: [], removed: [], revision: 0, next: '' });
  const { sync_page: size } = parts.config;
  if (place?.after === undefined) {
    const changes = since === 0 ? undefined : view.changesSince(since, size, BYTES_MAX);
    if (changes !== undefined) {
      const { entries, removed, until } = changes;
      const next = until < view.revision ? writePlace({ after: undefined, since: until }) : '';
      return answer({ full: false, entries, removed, revision: until, next });
    }
  }
  return fullPage(view, place, size);
}

function fullPage(view: OrgView, place: Place | undefined, size: number): SyncResponse {
  const { entries, next, revision } = view.page(place?.after ?? '', size, BYTES_MAX);
  const since = place?.after === undefined ? revision : Math.min(place.since, revision);
  const token = next === undefined ? '' : writePlace({ after: next, since });
  return answer({ full: true, entries, removed: [], revision: since, next: token });
}

async function caughtUp({ view }: SyncParts, org: string, since: number): Promise<void> {
  for (let i = 0; i < BEHIND.times && view.syncRevision(org) < since; i++) await pause(BEHIND.pauseMs);
}

function answer(o: {
  full: boolean;
  entries: readonly ViewEntry[];
  removed: readonly string[];
  revision: number;
  next: string;
}): SyncResponse {
  const told: SyncResponse = {
    full: o.full,
    agents: [],
    nodes: [],
    channels: [],
    removed: [...o.removed],
    revision: o.revision,
    nextPageToken: o.next,
  };
  for (const entry of o.entries) {
    if (entry.kind === 'agent') told.agents.push(entry.route);
    else if (entry.kind === 'node') told.nodes.push(entry.route);
    else told.channels.push(entry.route);
  }
  return told;
}

function writePlace({ after, since }: Place): string {
  return Buffer.from(`${since}:${after ?? ''}`).toString('base64url');
}

function readPlace(token: string): Place | undefined {
  if (token === '') return undefined;
  const match = TOKEN.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (match !== null) return { since: Number(match[1]), after: match[2] };
  throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
    help: 'Send next_page_token of the page before, or nothing for the first page.',
  });
}
