/** Decides what becomes of one envelope, as data: all that could throw happens here, before anything is changed. */

import type { Decision } from '@fleetwire/access';
import { LIMITS } from '@fleetwire/contract';
import { Stage } from '@fleetwire/gen/message';
import { priorityLevelOf } from '@fleetwire/kernel';
import { isSampled } from '@fleetwire/telemetry';
import type { Admission, Arrival } from './admission.ts';
import { admit } from './admission.ts';
import { countText, type FanOut } from './fan-out.ts';
import type { EnvelopeHeader } from './header.ts';
import type { HouseRules } from './house-rules.ts';
import type { InboxItem, Item, Mail, Part, Span, Verdict } from './items.ts';
import { deadItem, deadLane, fanOutItem, receiptItem, receiptLane, replayedFor } from './items.ts';
import type { Overrun } from './rate-limits.ts';
import { listOf } from './recipient-list.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { Names } from './resolve.ts';
import { type Resolution, reachable, resolve } from './resolve.ts';
import type { RouteEntry } from './routing-table.ts';
import type { Suggestions } from './suggestions.ts';

export interface PushEffect {
  readonly kind: 'push';
  readonly lane: string;
  readonly item: Exclude<Item, InboxItem>;
}

/** Mail for the agents that the item names; by which lane depends on what is pending for them. */
export interface MailEffect {
  readonly kind: 'mail';
  readonly item: InboxItem;
}

export type Effect =
  | PushEffect
  | MailEffect
  /** Wait for what the registry says of this name. */
  | { readonly kind: 'ask'; readonly folded: string; readonly mail: Mail };

export interface JudgeOptions {
  /** The replica's name, for the hops. */
  readonly router: string;
  readonly names: Names;
  readonly suggest: Suggestions;
  /** What policies and limits refuse; undefined: nothing. */
  readonly rules?: HouseRules | undefined;
  /** Begins a span for a message; asked only where its trace is sampled. */
  readonly span?: ((traceparent: string, mail: Mail) => Span) | undefined;
}

/** What an entry takes beside its envelope and further recipients. */
const ENTRY_BYTES = 128;
/** An id has at most 64 bytes: such a list stays below LIMITS.packBytes, and with any body below what a server takes. */
const ENTRY_RECIPIENTS_MAX = Math.floor(LIMITS.packBytes / 66);
/** Nobody in particular: one receipt without a recipient. */
const NOBODY: readonly undefined[] = [undefined];

/** No effect means that nothing is to be done: the sending node delivers it itself. */
export function judge(
  options: JudgeOptions,
  part: Part,
  header: EnvelopeHeader | undefined,
  arrival: Arrival,
): Effect[] {
  if (header === undefined) return unreadable(options, part, 'the envelope could not be read', arrival.nowUs);
  const admission = admit(header, part.envelope.length, arrival);
  if (admission.kind === 'skip') return [];
  const { slot, index, envelope } = part;
  if (admission.kind === 'admit') {
    const mail = { slot, index, envelope, header, deadlineUs: admission.deadlineUs };
    const overrun = options.rules?.overrun(options.names.table, mail);
    if (overrun !== undefined) return [slowDown(options, mail, overrun, arrival.nowUs)];
    return route(options, mail, options.names, arrival.nowUs);
  }
  return turnDown(options, { slot, index, envelope, header, deadlineUs: 0 }, admission, arrival.nowUs);
}

/** Where admitted mail goes. */
export function route(options: JudgeOptions, mail: Mail, names: Names, nowUs: number): Effect[] {
  const found = destination(options, mail, names, nowUs);
  if (found.kind === 'ask') return [{ kind: 'ask', folded: found.folded, mail }];
  if (found.kind === 'route') {
    const denied = options.rules?.denial(names.table, mail, found.route, nowUs);
    if (denied !== undefined) return deny(options, mail, denied, nowUs, found.route);
    const alone = found.picked !== undefined;
    if (alone) names.table.anycast.sent(found.route, nowUs);
    return [{ kind: 'mail', item: inboxItem(options, mail, { route: found.route, alone }, nowUs) }];
  }
  if (found.kind === 'many') return toMany(options, mail, found, nowUs);
  if (mail.header.cancels !== '') return [turnBack(options, mail, found, nowUs)];
  const near = options.suggest.near(mail.slot.org, mail.header.to, nowUs, found.reason);
  const detail = near.length === 0 ? found.detail : `${found.detail}; did you mean ${near.join(', ')}?`;
  return bury(mail, verdict(options, Stage.DEAD, found.reason, detail, nowUs), [found.route]);
}

/** A replay that is for one agent goes to that one, whatever its address means by now. */
function destination(options: JudgeOptions, mail: Mail, names: Names, nowUs: number): Resolution {
  const { org } = mail.slot;
  const { to } = mail.header;
  const agent = replayedFor(mail.header);
  if (agent === '') return resolve(names, org, to, askingOf(options, mail), nowUs);
  const route = names.table.agent(org, agent);
  return route === undefined
    ? refusal('UNKNOWN_AGENT', 'the agent that it was for is not there any more')
    : reachable(route);
}

/** Only what asks for a capability goes by whom its sender may message. */
function askingOf({ rules, names }: JudgeOptions, mail: Mail) {
  const { header } = mail;
  const may = header.to.startsWith('?') ? rules?.picksFor(names.table, mail) : undefined;
  return may === undefined ? header : { ...header, may };
}

/** One entry for each node, and a word to the sender of how many receipts there will be. */
function toMany(options: JudgeOptions, mail: Mail, all: FanOut, nowUs: number): Effect[] {
  const admitted = options.rules?.admitted(options.names.table, mail, all, nowUs);
  const many = admitted?.found ?? all;
  // Who was served by the sending node has it already, so that then it is not refused.
  if (admitted?.decision !== undefined && many.count === 0 && !mail.header.localServed)
    return deny(options, mail, admitted.decision, nowUs, undefined);
  const left = admitted?.left ?? 0;
  const detail = left === 0 ? countText(many) : `${countText(many)}; policies leave ${left} out`;
  const found = verdict(options, Stage.ROUTED, '', detail, nowUs);
  const effects: Effect[] = [
    { kind: 'push', lane: receiptLane(mail), item: fanOutItem(mail, found, many.count) },
  ];
  for (const { recipients } of many.shares) {
    for (let from = 0; from < recipients.length; from += ENTRY_RECIPIENTS_MAX) {
      const whole = recipients.length <= ENTRY_RECIPIENTS_MAX;
      const some = whole ? recipients : recipients.slice(from, from + ENTRY_RECIPIENTS_MAX);
      const to = { route: some[0]!, recipients: some, alone: false };
      effects.push({ kind: 'mail', item: inboxItem(options, mail, to, nowUs) });
    }
  }
  return effects;
}

/** The org's policies do not let the sender message this recipient, or any of those that it has named. */
function deny(
  options: JudgeOptions,
  mail: Mail,
  { reason, explanation }: Decision,
  nowUs: number,
  to: RouteEntry | undefined,
): PushEffect[] {
  return bury(mail, verdict(options, Stage.DEAD, reason, explanation, nowUs), [to]);
}

/**
 * It comes too late by a replay, so it is no letter. Who is unknown has nothing to take back; who is out of reach may have it.
 */
function turnBack(
  options: JudgeOptions,
  mail: Mail,
  { reason, detail, route: to }: Refusal,
  nowUs: number,
): PushEffect {
  const why = reason === 'UNKNOWN_AGENT' ? 'NOTHING_TO_CANCEL' : reason;
  const returned = verdict(options, Stage.RETURNED, why, detail, nowUs);
  return { kind: 'push', lane: receiptLane(mail), item: receiptItem(mail, returned, to) };
}

/** More than a limit lets through: back to the sender, who may send it again. */
function slowDown(
  options: JudgeOptions,
  mail: Mail,
  { of, retryAfterMs }: Overrun,
  nowUs: number,
): PushEffect {
  const detail = `more than the limit of its ${of} lets through; the next may come in ${retryAfterMs} ms`;
  const returned = verdict(options, Stage.RETURNED, 'RATE_LIMITED', detail, nowUs);
  return { kind: 'push', lane: receiptLane(mail), item: receiptItem(mail, returned, undefined) };
}

/** What the bound of an inbox refused goes back to its sender, for each recipient. */
export function giveBack(options: JudgeOptions, item: InboxItem, nowUs: number): PushEffect[] {
  return recipientsOf(item).map((route) => {
    const detail = `the mail that waits for ${route.name} has reached its bound`;
    const returned = verdict(options, Stage.RETURNED, 'INBOX_FULL', detail, nowUs);
    return { kind: 'push', lane: receiptLane(item), item: receiptItem(item, returned, route) };
  });
}

/** What our own code cannot handle, try as it may. */
export function giveUp(
  options: JudgeOptions,
  part: Part & { readonly header?: EnvelopeHeader | undefined },
  detail: string,
  nowUs: number,
  found: readonly (RouteEntry | undefined)[] = NOBODY,
): PushEffect[] {
  return bury(part, verdict(options, Stage.DEAD, 'HANDLER_FAILED', detail, nowUs), found);
}

export function recipientsOf({ route, recipients }: InboxItem): readonly RouteEntry[] {
  return recipients ?? [route];
}

export function unreadable(options: JudgeOptions, part: Part, detail: string, nowUs: number): Effect[] {
  return bury(part, verdict(options, Stage.DEAD, 'ENVELOPE_UNREADABLE', detail, nowUs), NOBODY);
}

function turnDown(
  options: JudgeOptions,
  mail: Mail,
  admission: Extract<Admission, { kind: 'expired' | 'refuse' }>,
  nowUs: number,
): Effect[] {
  if (admission.kind === 'expired') {
    const expired = verdict(options, Stage.EXPIRED, 'TTL_EXPIRED', admission.detail, nowUs);
    return [{ kind: 'push', lane: receiptLane(mail), item: receiptItem(mail, expired, undefined) }];
  }
  const refused = verdict(options, Stage.DEAD, admission.reason, admission.detail, nowUs);
  return bury(mail, refused, NOBODY, admission.tellSender);
}

/** A dead letter, and, where the header can be trusted, a receipt for each that is `found`. */
function bury(
  part: Part & { readonly header?: EnvelopeHeader | undefined },
  end: Verdict,
  found: readonly (RouteEntry | undefined)[],
  tellSender = true,
): PushEffect[] {
  const effects: PushEffect[] = [{ kind: 'push', lane: deadLane(part.slot), item: deadItem(part, end) }];
  const { slot, index, envelope, header } = part;
  if (header === undefined || !tellSender) return effects;
  const sent = { slot, index, envelope, header };
  for (const route of found)
    effects.push({ kind: 'push', lane: receiptLane(sent), item: receiptItem(sent, end, route) });
  return effects;
}

interface Recipients {
  readonly route: RouteEntry;
  readonly recipients?: readonly RouteEntry[];
  readonly alone: boolean;
}

function inboxItem(options: JudgeOptions, mail: Mail, to: Recipients, nowUs: number): InboxItem {
  const { slot, index, envelope, header, deadlineUs } = mail;
  const { route: found, recipients, alone } = to;
  const sampled = options.span !== undefined && isSampled(header.traceparent);
  return {
    kind: 'inbox',
    size: envelope.length + ENTRY_BYTES + (recipients === undefined ? 0 : listOf(recipients).bytes.length),
    level: priorityLevelOf(header.priority),
    sender: header.fromAgent,
    slot,
    index,
    envelope,
    header,
    deadlineUs,
    route: found,
    recipients,
    fanned: recipients !== undefined,
    alone,
    routedAtUs: nowUs,
    span: sampled ? options.span?.(header.traceparent, mail) : undefined,
  };
}

/** The item for some of its recipients; it has no span of its own. */
export function narrowed(item: InboxItem, recipients: readonly RouteEntry[]): InboxItem {
  const size = item.envelope.length + ENTRY_BYTES + listOf(recipients).bytes.length;
  const several = recipients.length === 1 ? undefined : recipients;
  return { ...item, size, route: recipients[0]!, recipients: several, span: undefined };
}

function verdict(options: JudgeOptions, stage: Stage, reason: string, detail: string, atUs: number): Verdict {
  return { stage, reason, detail: detail.slice(0, LIMITS.addressChars * 4), atUs, router: options.router };
}
