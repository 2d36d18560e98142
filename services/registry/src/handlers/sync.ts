/** Sync: what a node knows of its org, in full or what has changed, from the routing table in memory. */

import type { SyncRequest, SyncResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { OrgView, ViewEntry } from '../routing/org-view.ts';
import type { RegistryParts } from './parts.ts';

type SyncParts = Pick<RegistryParts, 'view' | 'orgs' | 'config'> & {
  /** Tells this replica's view from another's, and from the one before its restart. */
  readonly instance: string;
};

/** Where a reader of pages is. */
interface Place {
  /** Of a full answer: whose slots they are; empty: an incremental one. */
  readonly instance: string;
  readonly slot: number;
  /** From when on the next one has to ask. */
  readonly since: number;
}

const BYTES_MAX = 4 * 1024 * 1024;
/** Another replica may be a moment ahead of this one. */
const BEHIND = { pauseMs: 20, times: 50 } as const;
const TOKEN = /^([\w-]{0,64}):(\d{1,12}):(\d{1,16})$/;

/**
 * What was asked since a revision that is too long ago, or that this replica does not come to know within a second, is
 * answered in full. Pages of different replicas may be mixed: what one lacks, the next call brings.
 */
export async function sync(parts: SyncParts, request: SyncRequest, caller: Caller): Promise<SyncResponse> {
  const { org } = requireNode(caller);
  requireOpen(parts.orgs, org);
  const place = readPlace(request.pageToken);
  const since = place?.since ?? request.revision;
  await caughtUp(parts, org, since);
  const view = parts.view.viewOf(org);
  if (view === undefined) return answer({ full: true, entries: [], removed: [], revision: 0, next: '' });
  const { sync_page: size } = parts.config;
  if (place === undefined || place.instance === '') {
    const changes = since === 0 ? undefined : view.changesSince(since, size, BYTES_MAX);
    if (changes !== undefined) {
      const { entries, removed, until } = changes;
      const next = until < view.revision ? writePlace({ instance: '', slot: 0, since: until }) : '';
      return answer({ full: false, entries, removed, revision: until, next });
    }
  }
  return fullPage(parts, view, place, size);
}

function fullPage(parts: SyncParts, view: OrgView, place: Place | undefined, size: number): SyncResponse {
  const goesOn = place !== undefined && place.instance !== '';
  // Begun at another replica: all once more, and what was removed since that one began.
  const from = goesOn && place.instance === parts.instance ? place.slot : 0;
  const since = goesOn ? Math.min(place.since, view.revision) : view.revision;
  const { entries, next } = view.page(from, size, BYTES_MAX);
  const token = next === undefined ? '' : writePlace({ instance: parts.instance, slot: next, since });
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

function writePlace({ instance, slot, since }: Place): string {
  return Buffer.from(`${instance}:${slot}:${since}`).toString('base64url');
}

function readPlace(token: string): Place | undefined {
  if (token === '') return undefined;
  const match = TOKEN.exec(Buffer.from(token, 'base64url').toString('utf8'));
  if (match !== null) return { instance: match[1]!, slot: Number(match[2]), since: Number(match[3]) };
  throw new FleetwireError('invalid_argument', 'INVALID_PAGE_TOKEN', 'this is not a page token', {
    help: 'Send next_page_token of the page before, or nothing for the first page.',
  });
}
