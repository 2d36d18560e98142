/** The messages of a conversation as a tree of answers, whatever they claim to answer. */

export interface TreeMessage {
  readonly id: string;
  /** The id of the message that it answers; empty: none. */
  readonly replyTo: string;
  readonly acceptedAtUs: number;
}

/** Why a message stands at the top though it answers another. */
export type Loose = 'orphan' | 'cycle';

export interface Branch<M> {
  readonly message: M;
  /** 0 at the top. */
  readonly depth: number;
  /** The id of the message that it stands under; undefined at the top. */
  readonly parent: string | undefined;
  /** `orphan`: what it answers is not among them; `cycle`: that answers it in turn, so the earliest of these goes first. */
  readonly loose: Loose | undefined;
}

/**
 * Every message once, each behind the one that it answers and before that one's later answers; the earliest first. Ids must be
 * unique. Takes time in proportion to their number, at any depth, and whatever the answers claim.
 */
export function conversationTree<M extends TreeMessage>(messages: readonly M[]): Branch<M>[] {
  const ordered = [...messages].sort(byTime);
  const byId = new Map(ordered.map((message) => [message.id, message]));
  const loose = cutCycles(ordered, byId);
  const answers = new Map<string, M[]>();
  const tops: M[] = [];
  for (const message of ordered) {
    const { id, replyTo } = message;
    if (replyTo !== '' && !byId.has(replyTo)) loose.set(id, 'orphan');
    if (replyTo === '' || loose.has(id)) tops.push(message);
    else {
      const known = answers.get(replyTo);
      if (known === undefined) answers.set(replyTo, [message]);
      else known.push(message);
    }
  }
  const branches: Branch<M>[] = [];
  const open = tops.reverse().map((message) => ({ message, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { message, depth } = next;
    const parent = depth === 0 ? undefined : message.replyTo;
    branches.push({ message, depth, parent, loose: loose.get(message.id) });
    for (const answer of (answers.get(message.id) ?? []).reverse())
      open.push({ message: answer, depth: depth + 1 });
  }
  return branches;
}

/** Of each circle of answers the earliest message, whose link is cut. */
function cutCycles<M extends TreeMessage>(
  ordered: readonly M[],
  byId: ReadonlyMap<string, M>,
): Map<string, Loose> {
  const loose = new Map<string, Loose>();
  /** In which walk each was met; a walk that meets itself has found a circle. */
  const walks = new Map<string, number>();
  for (const [walk, start] of ordered.entries()) {
    let at: M | undefined = start;
    while (at !== undefined && !walks.has(at.id)) {
      walks.set(at.id, walk);
      at = byId.get(at.replyTo);
    }
    if (at === undefined || walks.get(at.id) !== walk) continue;
    let earliest = at;
    for (let next = byId.get(at.replyTo)!; next !== at; next = byId.get(next.replyTo)!)
      if (byTime(next, earliest) < 0) earliest = next;
    loose.set(earliest.id, 'cycle');
  }
  return loose;
}

function byTime(a: TreeMessage, b: TreeMessage): number {
  return a.acceptedAtUs - b.acceptedAtUs || (a.id < b.id ? -1 : Number(a.id > b.id));
}
