/** Dead letters as JSON documents with stable fields, and as lines for people. */

import {
  type GetDeadLetterResponse,
  type LetterOutcome,
  type LetterState,
  type LetterSummary,
  letterStateToJSON,
} from '@fleetwire/gen/delivery';
import { printable } from '@fleetwire/kernel';
import { minute, table, visible } from './output.ts';
import { stageName } from './trace-document.ts';

export const letterStateName = (state: LetterState): string =>
  letterStateToJSON(state).replace('LETTER_STATE_', '').toLowerCase();

const time = (us: number) => (us === 0 ? null : new Date(us / 1000).toISOString());

export function letterDocument(letter: LetterSummary): object {
  return {
    id: letter.id,
    message_id: letter.messageId || null,
    from: letter.fromName,
    from_agent: letter.fromAgent,
    to: letter.to,
    recipient: letter.recipient || null,
    reason: letter.reason,
    detail: letter.detail,
    attempt: letter.attempt,
    state: letterStateName(letter.state),
    stored_at: time(letter.storedAtUs),
    decided_by: letter.decidedBy || null,
    decided_at: time(letter.decidedAtUs),
  };
}

export const letterTable = (letters: readonly LetterSummary[]): string[] =>
  table(
    ['LETTER', 'AT', 'FROM', 'TO', 'REASON', 'STATE', 'MESSAGE'],
    letters.map((letter) => [
      letter.id,
      minute(letter.storedAtUs / 1000),
      letter.fromName || letter.fromAgent || '-',
      letter.to || '-',
      letter.attempt === 0 ? letter.reason : `${letter.reason} (attempt ${letter.attempt})`,
      letterStateName(letter.state),
      letter.messageId || '-',
    ]),
  );

/** The body as text where it is some, else as base64. */
export function wholeLetterDocument(found: GetDeadLetterResponse): object {
  const { letter, message, bodyKept, undecoded, subject, streamSeq, hops, replays } = found;
  const text = message && textOf(message.body);
  return {
    ...letterDocument(letter!),
    correlation_id: message?.correlationId ?? null,
    reply_to: message?.replyTo ?? null,
    accepted_at: time(message?.acceptedAtUs ?? 0),
    ttl_ms: message?.ttlMs ?? null,
    content_type: message?.contentType ?? null,
    body_kept: bodyKept,
    body: bodyKept ? (text ?? null) : null,
    body_base64: bodyKept && message !== undefined && text === undefined ? base64(message.body) : null,
    undecoded_base64: message === undefined ? base64(undecoded) : null,
    subject: subject || null,
    stream_seq: streamSeq || null,
    hops: hops.map((hop) => ({
      stage: stageName(hop.stage),
      service: hop.service,
      instance: hop.instance,
      at: time(hop.atUs),
      reason: hop.reason,
      detail: hop.detail,
      attempt: hop.attempt,
    })),
    replays: replays.map((replay) => ({
      attempt: replay.attempt,
      replayed_by: replay.replayedBy,
      replayed_at: time(replay.replayedAtUs),
      letters: replay.letters,
      settlements: replay.settlements.map(({ recipient, recipientName, stage, final, reason }) => ({
        recipient,
        recipient_name: recipientName,
        stage: stageName(stage),
        final,
        reason,
      })),
    })),
  };
}

const LINES_MAX = 20;

export function wholeLetterLines(found: GetDeadLetterResponse): string[] {
  const { message, bodyKept, undecoded, subject, replays } = found;
  const letter = found.letter!;
  const decided =
    letter.decidedBy === '' ? '' : ` by ${letter.decidedBy} at ${minute(letter.decidedAtUs / 1000)}`;
  const lines = [
    `letter   ${letter.id}  ${letterStateName(letter.state)}${decided}`,
    `message  ${letter.messageId || 'unreadable'}${letter.attempt === 0 ? '' : `  attempt ${letter.attempt}`}`,
    `way      ${printable(letter.fromName || letter.fromAgent || '?')} -> ${printable(letter.to || '?')}`,
    `died     ${minute(letter.storedAtUs / 1000)}  ${letter.reason}: ${visible(letter.detail)}`,
  ];
  if (letter.recipient !== '') lines.push(`for      ${printable(letter.recipient)}`);
  if (subject !== '') lines.push(`subject  ${printable(subject)}`);
  for (const hop of found.hops)
    lines.push(`hop      ${stageName(hop.stage).padEnd(11)} ${printable(`${hop.service} ${hop.instance}`)}`);
  for (const replay of replays) lines.push(`replay   ${replayLine(replay)}`);
  lines.push('');
  if (message === undefined) lines.push(`${undecoded.length} bytes that cannot be read: --json shows them`);
  else if (!bodyKept) lines.push('its body was not kept');
  else lines.push(...bodyLines(message.body));
  return lines;
}

function replayLine({
  attempt,
  replayedBy,
  replayedAtUs,
  settlements,
  letters,
}: GetDeadLetterResponse['replays'][number]) {
  const ends = settlements.map((s) => {
    const whom = s.recipientName || s.recipient;
    return `${stageName(s.stage)}${whom === '' ? '' : ` for ${printable(whom)}`}${s.reason === '' ? '' : ` (${s.reason})`}`;
  });
  const died = letters.length === 0 ? '' : `; letter ${letters.join(', ')}`;
  const became = ends.join(', ') || 'nothing heard yet';
  return `attempt ${attempt} by ${replayedBy} at ${minute(replayedAtUs / 1000)}: ${became}${died}`;
}

function bodyLines(body: Uint8Array): string[] {
  const text = textOf(body);
  if (text === undefined) return [`${body.length} bytes that are no text: --json shows them`];
  const lines = text.split('\n');
  const shown = lines.slice(0, LINES_MAX).map((line) => `  ${visible(line.slice(0, 500))}`);
  return lines.length > LINES_MAX ? [...shown, `  (${lines.length - LINES_MAX} more lines)`] : shown;
}

function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

export const outcomeDocument = ({ id, messageId, attempt, reason, detail }: LetterOutcome): object => ({
  id,
  message_id: messageId || null,
  ...(reason === '' ? { attempt: attempt || null } : { reason, detail }),
});
