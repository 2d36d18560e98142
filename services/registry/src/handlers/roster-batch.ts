/** One batch of a roster: what is known is refreshed, what is new registered, what is another's refused. */

import type { OrgAccess } from '@fleetwire/access';
import type { RosterOutcome } from '@fleetwire/gen/registry';
import { type FleetwireError, foldName, newId } from '@fleetwire/kernel';
import { agentMoved, agentRemoved, nameTaken, nameTwice } from '../domain/agent-errors.ts';
import type { RosterItem } from '../domain/roster.ts';
import { suggestions } from '../domain/suggest.ts';
import type { Refreshed } from '../store/agent-writes.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { NodeRow } from '../store/entities.ts';
import { shownAgent } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';
import { boundsOf, changeOf, newRow, refusalOf, reservedUntil, stored } from './placing.ts';
import { tellRegistered } from './register-agent.ts';

/** Of each taken name that many others are tried, so that a roster of taken names stays cheap. */
const SUGGESTIONS = 10;

type Answer = PlacedAgent | FleetwireError;

/** What is known of a batch so far. */
interface Batch {
  readonly parts: RegistryParts;
  readonly node: NodeRow;
  readonly answers: Map<RosterItem, Answer>;
  /** Those whose names others have. */
  readonly taken: Map<RosterItem, PlacedAgent>;
}

/**
 * In the order of the batch. Routes are there when it resolves. `listed`: the agents that batches before have named; those of
 * this one are added. Throws TOO_MUCH_CHURN.
 */
export async function placeBatch(
  parts: RegistryParts,
  node: NodeRow,
  batch: readonly RosterItem[],
  access: OrgAccess | undefined,
  listed: Set<string>,
): Promise<RosterOutcome[]> {
  const answers = new Map<RosterItem, Answer>();
  const o: Batch = { parts, node, answers, taken: new Map() };
  const { known, fresh } = await sorted(o, batch, access);
  refuseSecond(o, known, listed);
  await refreshKnown(o, known);
  const registered = await registerFresh(o, fresh);
  await refuseTaken(o);
  const there = [...answers.values()].filter((answer): answer is PlacedAgent => 'folded' in answer);
  await parts.routes.ensureMany(there.filter((row) => !parts.view.shows(row)));
  parts.suspensions.registered(
    node.org,
    registered.map(({ name }) => name),
  );
  for (const row of registered) tellRegistered(parts, row);
  return batch.map((item) => shownOutcome(parts, answers.get(item)!));
}

/** Whose each one is by now. */
async function sorted(
  { parts, node, answers, taken }: Batch,
  batch: readonly RosterItem[],
  access: OrgAccess | undefined,
) {
  const meant = batch.filter((item) => item.refused === undefined);
  const rows = await parts.agents.meant(
    node.org,
    meant.map(({ id }) => id).filter((id) => id !== ''),
    meant.map(({ folded }) => folded),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  const gone = meant.map(({ id }) => id).filter((id) => id !== '' && !byId.has(id));
  const dismissed = await parts.agents.dismissed(gone);
  const byName = new Map(rows.map((row) => [row.folded, row]));
  const known = new Map<RosterItem, PlacedAgent>();
  const fresh: RosterItem[] = [];
  for (const item of batch) {
    const row = byId.get(item.id) ?? byName.get(item.folded);
    const suspended = row === undefined ? access?.acceptsAgent(item.name) : undefined;
    if (item.refused !== undefined) answers.set(item, item.refused);
    else if (dismissed.has(item.id)) answers.set(item, agentRemoved());
    else if (suspended !== undefined) answers.set(item, suspended);
    else if (row === undefined) fresh.push(item);
    else if (row.node === node.id) known.set(item, row);
    else if (row.id === item.id) answers.set(item, agentMoved(row.nodeName));
    else taken.set(item, row);
  }
  return { known, fresh };
}

/** One agent by its id and again by its name. */
function refuseSecond({ answers }: Batch, known: Map<RosterItem, PlacedAgent>, listed: Set<string>): void {
  for (const [item, { id }] of known) {
    if (listed.has(id)) {
      known.delete(item);
      answers.set(item, nameTwice(item.name));
    } else listed.add(id);
  }
}

async function refreshKnown(
  { parts, node, answers }: Batch,
  known: ReadonlyMap<RosterItem, PlacedAgent>,
): Promise<void> {
  const changed: Refreshed[] = [];
  for (const [item, row] of known) {
    const profile = changeOf(row, item);
    if (profile !== undefined) changed.push({ ...stored(profile), id: row.id, adapter: item.adapter });
  }
  const epochs = changed.length === 0 ? undefined : await parts.agents.refresh(node.id, changed);
  const now = new Map(changed.map((row) => [row.id, row]));
  for (const [item, row] of known) {
    const to = now.get(row.id);
    const epoch = epochs?.get(row.id);
    if (to === undefined) answers.set(item, row);
    else answers.set(item, epoch === undefined ? agentMoved(row.nodeName) : { ...row, ...to, epoch });
  }
}

/** The rows of those that are new. */
async function registerFresh(o: Batch, fresh: readonly RosterItem[]): Promise<PlacedAgent[]> {
  const { parts, node, answers } = o;
  if (fresh.length === 0) return [];
  parts.churn.spend(node, fresh.length);
  const rows = fresh.map((item) => newRow(parts, newId('agent', parts.random), item));
  const done = await parts.roster.insert(node.org, node.id, rows, boundsOf(parts, node.org));
  const refused = done.refused && (await refusalOf(parts, node.org, done.refused));
  const lost: RosterItem[] = [];
  const registered: PlacedAgent[] = [];
  for (const [i, item] of fresh.entries()) {
    const epoch = done.inserted.get(rows[i]!.id);
    if (epoch === undefined) {
      if (i >= done.tried) answers.set(item, refused!);
      else lost.push(item);
      continue;
    }
    const { id: nodeId, name: nodeName, org, shard, lastSeenAtMs } = node;
    const placed = { org, node: nodeId, nodeName, shard, lastSeenAtMs, leftAtMs: 0, movingFrom: '' };
    const row: PlacedAgent = { ...rows[i]!, ...placed, epoch };
    registered.push(row);
    answers.set(item, row);
  }
  await sortLost(o, lost);
  return registered;
}

/** Their names were taken at the same moment, perhaps by another call of this node. */
async function sortLost({ parts, node, answers, taken }: Batch, lost: readonly RosterItem[]): Promise<void> {
  if (lost.length === 0) return;
  const holders = await parts.agents.meant(
    node.org,
    [],
    lost.map(({ folded }) => folded),
  );
  const byName = new Map(holders.map((row) => [row.folded, row]));
  for (const item of lost) {
    const holder = byName.get(item.folded);
    if (holder?.node === node.id) answers.set(item, holder);
    else if (holder !== undefined) taken.set(item, holder);
    else answers.set(item, nameTaken(item.name, { node: '', nodeName: 'that has just gone' }, undefined));
  }
}

async function refuseTaken({ parts, node, answers, taken }: Batch): Promise<void> {
  if (taken.size === 0) return;
  const tried = new Map(
    [...taken.keys()].map((item) => [item, suggestions(item.name, node.name).slice(0, SUGGESTIONS)]),
  );
  const used = await parts.agents.taken(node.org, [...tried.values()].flat().map(foldName));
  for (const [item, holder] of taken) {
    const free = tried.get(item)!.find((name) => !used.has(foldName(name)));
    const held = { ...holder, reservedUntilMs: reservedUntil(parts, holder) };
    answers.set(item, nameTaken(holder.name, held, free));
  }
}

function shownOutcome(parts: RegistryParts, answer: Answer): RosterOutcome {
  if ('folded' in answer)
    return { agent: shownAgent(parts, answer), reason: '', message: '', suggestion: '' };
  const { reason, message, details } = answer;
  return { agent: undefined, reason, message, suggestion: details['suggestion'] ?? '' };
}
