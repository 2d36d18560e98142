/** Holds what was accepted against what arrived and against history: pure, so that it can be tried itself. */

/** A message that a sender's node has accepted; `number` counts the messages of one pair. */
export interface Accepted {
  readonly from: string;
  readonly to: string;
  readonly number: number;
  readonly id: string;
}

/** A message as the receiving agent took it, in the order in which it did. */
export interface Received {
  readonly from: string;
  readonly to: string;
  readonly number: number;
}

/** One row of history for one recipient of a message; `stage` is undefined where there is no settlement. */
export interface Settled {
  readonly id: string;
  readonly stage: string | undefined;
  readonly final: boolean;
  readonly reason: string;
}

export interface Ledger {
  readonly accepted: readonly Accepted[];
  readonly received: readonly Received[];
  readonly history: readonly Settled[];
  /** Ids of messages that have a dead letter. */
  readonly dead: readonly string[];
  /** What the broker still holds. */
  readonly left: readonly string[];
}

export type Fault =
  | 'lost'
  | 'doubled'
  | 'swapped'
  | 'phantom'
  | 'untold'
  | 'open'
  | 'ends'
  | 'ended'
  | 'dead'
  | 'left';

export interface Finding {
  readonly fault: Fault;
  /** Such as `s04>r17#12`, with what is wrong. */
  readonly what: string;
}

const keyOf = ({ from, to, number }: Received) => `${from}>${to}#${number}`;

/**
 * No finding means: each accepted message arrived once, those of a pair in the order of their numbers, nothing else
 * arrived, and history has exactly one end for each, `confirmed`, and the broker is empty.
 */
export function reconcile(ledger: Ledger): Finding[] {
  return [
    ...arrivals(ledger),
    ...ends(ledger),
    ...ledger.left.map((what): Finding => ({ fault: 'left', what })),
  ];
}

function arrivals({ accepted, received }: Ledger): Finding[] {
  const findings: Finding[] = [];
  const wanted = new Set(accepted.map(keyOf));
  const seen = new Set<string>();
  const highest = new Map<string, number>();
  for (const message of received) {
    const key = keyOf(message);
    if (seen.has(key)) {
      findings.push({ fault: 'doubled', what: key });
      continue;
    }
    seen.add(key);
    if (!wanted.has(key)) findings.push({ fault: 'phantom', what: key });
    const pair = `${message.from}>${message.to}`;
    const before = highest.get(pair) ?? -1;
    if (message.number < before) findings.push({ fault: 'swapped', what: `${key} after #${before}` });
    else highest.set(pair, message.number);
  }
  for (const key of wanted) if (!seen.has(key)) findings.push({ fault: 'lost', what: key });
  return findings;
}

function ends({ accepted, history, dead }: Ledger): Finding[] {
  const findings: Finding[] = [];
  const rows = new Map<string, Settled[]>();
  for (const row of history) rows.set(row.id, [...(rows.get(row.id) ?? []), row]);
  const buried = new Set(dead);
  for (const message of accepted) {
    const name = `${keyOf(message)} ${message.id}`;
    const own = rows.get(message.id);
    if (buried.has(message.id)) findings.push({ fault: 'dead', what: name });
    if (own === undefined) findings.push({ fault: 'untold', what: name });
    else if (own.length > 1) findings.push({ fault: 'ends', what: `${name}: ${own.length} recipients` });
    else findings.push(...endOf(name, own[0]!));
  }
  return findings;
}

function endOf(name: string, { stage, final, reason }: Settled): Finding[] {
  if (!final) return [{ fault: 'open', what: `${name}: ${stage ?? 'no receipt'}` }];
  if (stage !== 'confirmed') return [{ fault: 'ended', what: `${name}: ${stage} ${reason}` }];
  return [];
}

/** Counts of each kind, and the first few of each. */
export function summary(findings: readonly Finding[]): string {
  const kinds = Map.groupBy(findings, ({ fault }) => fault);
  const lines = [...kinds].map(([fault, those]) => {
    const some = those.slice(0, 5).map(({ what }) => `    ${what}`);
    return [`  ${fault}: ${those.length}`, ...some].join('\n');
  });
  return lines.join('\n');
}
