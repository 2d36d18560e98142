/** How a node of this machine is, by its folder, its process and its own word. */

import type { HeldBack, NodeStatusResponse } from '@fleetwire/gen/node';
import { connectNode, nodeFolder, nodeProcess, readNode, runningNode } from './local-nodes.ts';
import { counted, visible } from './output.ts';

export interface LocalStatus {
  /** Of its folder. */
  readonly name: string;
  /** Link to the hub: connecting, active, refused, disconnected; else starting, stopped (on purpose), crashed, not answering. */
  readonly state: string;
  /** Empty while it does not run. */
  readonly address: string;
  readonly pid: number | undefined;
  /** What it says itself; undefined while it says nothing. */
  readonly told: NodeStatusResponse | undefined;
}

const ANSWER_MS = 2000;
/** Busy recipients with a line each. */
const HELD_SHOWN = 5;

/** Never rejects. */
export async function localStatus(dataFolder: string, name: string): Promise<LocalStatus> {
  const folder = nodeFolder(dataFolder, name);
  const pid = nodeProcess(folder)?.pid;
  const status = (state: string, address = '', told?: NodeStatusResponse): LocalStatus => {
    return { name, state, address, pid, told };
  };
  if (pid === undefined) return status((await readNode(folder)) === undefined ? 'stopped' : 'crashed');
  const node = await runningNode(folder);
  if (node === undefined) return status('starting');
  const client = connectNode(node);
  try {
    const told = await client.nodeStatus({}, { deadlineMs: ANSWER_MS });
    return status(told.hub, node.address, told);
  } catch {
    return status('not answering', node.address);
  } finally {
    client.close();
  }
}

/** In a line: what it holds, and why it has no link to the hub; a refusal, which is long, is among the notes. */
export function statusDetail({ told }: LocalStatus): string {
  if (told === undefined) return '';
  const { agents, outboxDepth, inboxDepth, hub, hubError } = told;
  const counts = `${counted(agents, 'agent')}, ${outboxDepth} to send, ${inboxDepth} to deliver`;
  return hubError === '' || hub === 'active' || hub === 'refused' ? counts : `${counts}; ${hubError}`;
}

/** What people should know besides, a line each. */
export function statusNotes({ name, told }: LocalStatus): string[] {
  if (told === undefined) return [];
  const refused = told.hub === 'refused';
  const notes = [
    told.name === '' || told.name === name ? '' : `called ${told.name} in its org`,
    refused ? told.hubError : '',
    // A node without a place takes no agents at all, drained or not.
    told.draining && !refused ? 'draining: it takes no new agents' : '',
    ...told.heldBack.slice(0, HELD_SHOWN).map(heldNote),
    told.heldBack.length <= HELD_SHOWN
      ? ''
      : `mail waits for ${told.heldBack.length - HELD_SHOWN} more recipients`,
    told.contender === '' ? '' : `its identity was used elsewhere and refused: ${told.contender}`,
  ];
  return notes.filter((note) => note !== '').map((note) => `! ${visible(`${name}: ${note}`)}`);
}

function heldNote({ to, reason, waiting, credits }: HeldBack): string {
  const whose = to === '*' ? 'all mail' : `mail for ${to}`;
  const next = credits === 0 ? '' : `, ${credits} may go`;
  return `${whose} waits: ${reason || 'credits'}, ${waiting} waiting${next}`;
}
