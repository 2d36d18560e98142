/** Decides what becomes of one envelope, as data: all that could throw happens here, before anything is changed. */

import { LIMITS } from '@fleetwire/contract';
import { Stage } from '@fleetwire/gen/message';
import { isSampled } from '@fleetwire/telemetry';
import type { Admission, Arrival } from './admission.ts';
import { admit } from './admission.ts';
import type { EnvelopeHeader } from './header.ts';
import type { InboxItem, Item, Mail, Part, Span, Verdict } from './items.ts';
import { deadItem, deadLane, receiptItem, receiptLane } from './items.ts';
import { levelOf } from './levels.ts';
import type { Names, Suggestions } from './resolve.ts';
import { resolve } from './resolve.ts';
import type { RouteEntry } from './routing-table.ts';

export interface PushEffect {
  readonly kind: 'push';
  readonly lane: string;
  readonly item: Item;
}

export type Effect =
  | PushEffect
  /** Wait for what the registry says of this name. */
  | { readonly kind: 'ask'; readonly folded: string; readonly mail: Mail };

export interface JudgeOptions {
  /** The replica's name, for the hops. */
  readonly router: string;
  readonly names: Names;
  readonly suggest: Suggestions;
  /** Begins a span for a message; asked only where its trace is sampled. */
  readonly span?: ((traceparent: string, mail: Mail) => Span) | undefined;
}

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
    return route(options, mail, options.names, arrival.nowUs);
  }
  return turnDown(options, { slot, index, envelope, header, deadlineUs: 0 }, admission, arrival.nowUs);
}

/** Where admitted mail goes. */
export function route(options: JudgeOptions, mail: Mail, names: Names, nowUs: number): Effect[] {
  const found = resolve(names, mail.slot.org, mail.header.to, mail.header, nowUs);
  if (found.kind === 'ask') return [{ kind: 'ask', folded: found.folded, mail }];
  if (found.kind === 'route') {
    const picked = found.picked !== undefined;
    if (picked) names.table.anycast.sent(found.route, nowUs);
    const item = inboxItem(options, mail, found.route, picked, nowUs);
    return [{ kind: 'push', lane: found.route.subject, item }];
  }
  const { org } = mail.slot;
  const near = found.reason === 'UNKNOWN_AGENT' ? options.suggest.near(org, mail.header.to, nowUs) : [];
  const detail = near.length === 0 ? found.detail : `${found.detail}; did you mean ${near.join(', ')}?`;
  return bury(mail, verdict(options, Stage.DEAD, found.reason, detail, nowUs), found.route);
}

/** What the bound of an inbox refused goes back to its sender. */
export function giveBack(options: JudgeOptions, item: InboxItem, nowUs: number): PushEffect {
  const detail = `the mail that waits for ${item.route.name} has reached its bound`;
  const returned = verdict(options, Stage.RETURNED, 'INBOX_FULL', detail, nowUs);
  return { kind: 'push', lane: receiptLane(item.slot), item: receiptItem(item, returned, item.route) };
}

/** What our own code cannot handle, try as it may. */
export function giveUp(
  options: JudgeOptions,
  part: Part & { readonly header?: EnvelopeHeader | undefined },
  detail: string,
  nowUs: number,
): PushEffect[] {
  return bury(part, verdict(options, Stage.DEAD, 'HANDLER_FAILED', detail, nowUs), undefined);
}

export function unreadable(options: JudgeOptions, part: Part, detail: string, nowUs: number): Effect[] {
  return bury(part, verdict(options, Stage.DEAD, 'ENVELOPE_UNREADABLE', detail, nowUs), undefined);
}

function turnDown(
  options: JudgeOptions,
  mail: Mail,
  admission: Extract<Admission, { kind: 'expired' | 'refuse' }>,
  nowUs: number,
): Effect[] {
  if (admission.kind === 'expired') {
    const expired = verdict(options, Stage.EXPIRED, 'TTL_EXPIRED', admission.detail, nowUs);
    return [{ kind: 'push', lane: receiptLane(mail.slot), item: receiptItem(mail, expired, undefined) }];
  }
  const refused = verdict(options, Stage.DEAD, admission.reason, admission.detail, nowUs);
  return bury(mail, refused, undefined, admission.tellSender);
}

/** A dead letter, and, where the header can be trusted, a receipt. */
function bury(
  part: Part & { readonly header?: EnvelopeHeader | undefined },
  end: Verdict,
  found: RouteEntry | undefined,
  tellSender = true,
): PushEffect[] {
  const effects: PushEffect[] = [{ kind: 'push', lane: deadLane(part.slot), item: deadItem(part, end) }];
  const { slot, index, envelope, header } = part;
  if (header === undefined || !tellSender) return effects;
  const item = receiptItem({ slot, index, envelope, header }, end, found);
  effects.push({ kind: 'push', lane: receiptLane(slot), item });
  return effects;
}

function inboxItem(
  options: JudgeOptions,
  mail: Mail,
  found: RouteEntry,
  picked: boolean,
  nowUs: number,
): InboxItem {
  const { slot, index, envelope, header, deadlineUs } = mail;
  const sampled = options.span !== undefined && isSampled(header.traceparent);
  return {
    kind: 'inbox',
    size: envelope.length + 128,
    level: levelOf(header.priority),
    sender: header.fromAgent,
    slot,
    index,
    envelope,
    header,
    deadlineUs,
    route: found,
    alone: picked,
    routedAtUs: nowUs,
    span: sampled ? options.span?.(header.traceparent, mail) : undefined,
  };
}

function verdict(options: JudgeOptions, stage: Stage, reason: string, detail: string, atUs: number): Verdict {
  return { stage, reason, detail: detail.slice(0, LIMITS.addressChars * 4), atUs, router: options.router };
}
