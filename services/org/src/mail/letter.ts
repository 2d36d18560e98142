/** The text of an invitation: pure, and safe whatever names and notes hold. */

import { escapeHtml } from '@fleetwire/http';

export interface Invitation {
  readonly orgName: string;
  readonly inviterEmail: string;
  /** admin or member. */
  readonly role: string;
  readonly url: string;
  readonly expiresAtMs: number;
  /** Free text of the inviting person, of several lines; may be empty. */
  readonly note: string;
}

export interface Letter {
  /** One line. */
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const SUBJECT_CHARS = 200;
/** Control characters, what separates lines, and what turns the direction of text around. */
const NOT_IN_A_LINE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

/** In the text the link stands on a line of its own, above all that others wrote in several lines. */
export function letter(invitation: Invitation): Letter {
  const { role, url, expiresAtMs } = invitation;
  const org = line(invitation.orgName);
  const inviter = line(invitation.inviterEmail);
  const note = noteLines(invitation.note);
  const as = role === 'admin' ? 'an admin' : 'a member';
  // Nobody has proven that the inviting person's address is theirs.
  const what = `You are invited to join ${org} on Fleetwire as ${as}, by a member who goes by ${inviter} there.`;
  const until = `The link can be used once, until ${moment(expiresAtMs)}.`;
  const ignore = 'If you do not know what this is about, ignore this letter; nothing happens then.';
  return {
    subject: shortened(`An invitation to ${org} on Fleetwire`),
    text: [
      what,
      '',
      'Accept the invite:',
      url,
      '',
      ...(note.length === 0 ? [] : [`${inviter} writes:`, ...note.map((each) => `> ${each}`), '']),
      until,
      ignore,
      '',
    ].join('\n'),
    html: page(what, url, inviter, note, until, ignore),
  };
}

const PARAGRAPH = 'margin:0 0 16px';
const QUOTE = 'margin:0 0 16px;padding:8px 16px;border-left:3px solid #2854d8;color:#444';
const BUTTON =
  'display:inline-block;padding:12px 20px;border-radius:8px;background:#2854d8;color:#fff;text-decoration:none;font-weight:600';

/** Mail programs know little: no style element, no outside resources. */
function page(
  what: string,
  url: string,
  inviter: string,
  note: readonly string[],
  until: string,
  ignore: string,
): string {
  const link = escapeHtml(url);
  const quoted =
    note.length === 0
      ? ''
      : `<p style="${PARAGRAPH}">${escapeHtml(inviter)} writes:</p>
<blockquote style="${QUOTE}">${note.map(escapeHtml).join('<br>')}</blockquote>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"></head>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:560px;margin:24px auto;padding:0 16px">
<p style="${PARAGRAPH}">${escapeHtml(what)}</p>
<p style="${PARAGRAPH}"><a href="${link}" style="${BUTTON}">Accept the invite</a></p>
${quoted}
<p style="${PARAGRAPH}">${escapeHtml(until)} ${escapeHtml(ignore)}</p>
<p style="margin:0;font-size:13px;color:#666">${link}</p>
</body></html>
`;
}

/** What stands in one line of ours cannot begin another. */
const line = (text: string): string => text.replace(NOT_IN_A_LINE, ' ').trim();

function noteLines(note: string): readonly string[] {
  if (note.trim() === '') return [];
  return note
    .trim()
    .split(/\r\n|[\r\n\v\f\x85\u2028\u2029]/)
    .map((each) => each.replace(NOT_IN_A_LINE, ' ').trimEnd());
}

function shortened(subject: string): string {
  const signs = Array.from(subject);
  return signs.length <= SUBJECT_CHARS ? subject : `${signs.slice(0, SUBJECT_CHARS - 1).join('')}…`;
}

const DAY = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
const moment = (ms: number): string => `${DAY.format(new Date(ms))} UTC`;
