/** Which messages are written and not searchable yet: a row for some hundred of them, written and taken with them. */

export interface QueuedMessage {
  readonly org: string;
  readonly id: string;
  readonly ingressAtUs: number;
  /** Of its envelope: bounds what one row of the queue makes the indexer read. */
  readonly bytes: number;
}

export interface QueueRow {
  readonly fromUs: number;
  readonly untilUs: number;
  readonly messages: number;
  /** Lines of an org and its ids, parted by blanks. */
  readonly ids: string;
}

const MESSAGES_MAX = 500;
const BYTES_MAX = 1024 * 1024;

/** All of the messages in rows of bounded size. */
export function queueRows(messages: readonly QueuedMessage[]): QueueRow[] {
  const rows: QueueRow[] = [];
  for (let start = 0, end = 0; start < messages.length; start = end) {
    for (let bytes = 0; end < messages.length && end - start < MESSAGES_MAX && bytes < BYTES_MAX; end++)
      bytes += messages[end]!.bytes;
    rows.push(queueRow(messages.slice(start, end)));
  }
  return rows;
}

function queueRow(messages: readonly QueuedMessage[]): QueueRow {
  let fromUs = Number.POSITIVE_INFINITY;
  let untilUs = 0;
  const lines = new Map<string, string>();
  for (const { org, id, ingressAtUs } of messages) {
    fromUs = Math.min(fromUs, ingressAtUs);
    untilUs = Math.max(untilUs, ingressAtUs);
    lines.set(org, `${lines.get(org) ?? org} ${id}`);
  }
  return { fromUs, untilUs, messages: messages.length, ids: [...lines.values()].join('\n') };
}

/** Org and id of each message of a row. */
export function readQueueIds(ids: string): { orgs: string[]; ids: string[] } {
  const read: { orgs: string[]; ids: string[] } = { orgs: [], ids: [] };
  for (const line of ids.split('\n')) {
    const [org, ...some] = line.split(' ');
    for (const id of some) {
      read.orgs.push(org!);
      read.ids.push(id);
    }
  }
  return read;
}
