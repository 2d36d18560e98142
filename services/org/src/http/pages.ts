/** The pages of an invite: one style, no scripts, nothing from anywhere else, everything escaped. */

import type { AcceptInviteResponse, LookInviteResponse } from '@fleetwire/gen/org';
import { escapeHtml, type HttpRefusal, styleHash } from '@fleetwire/http';

const STYLE = `
:root { color-scheme: light dark; --ground: #f3f5f9; --card: #fff; --line: #dfe4ec; --text: #172033; --soft: #5a6678;
  --accent: #2854d8; --on-accent: #fff; --inset: #f3f5f9; --warn: #9a4b00; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1119; --card: #161c28; --line: #2a3344; --text: #e8ecf4;
  --soft: #9aa7bb; --accent: #8aaaff; --on-accent: #0d1530; --inset: #0f141e; --warn: #ffb86b; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; align-items: center; justify-content: center;
  padding: 2rem 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { width: 100%; max-width: 34rem; padding: clamp(1.5rem, 5vw, 2.5rem); background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; box-shadow: 0 1px 2px rgb(0 0 0 / 5%), 0 12px 32px rgb(0 0 0 / 7%); }
.brand { display: flex; align-items: center; gap: .55rem; margin: 0 0 1.75rem; color: var(--soft); font-size: .95rem;
  font-weight: 600; letter-spacing: .01em; }
.brand svg { width: 1.6rem; height: 1.6rem; color: var(--accent); }
h1 { margin: 0 0 .75rem; font-size: 1.65rem; line-height: 1.25; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .9rem; }
.soft:last-child, form:last-child { margin-bottom: 0; }
.warn { color: var(--warn); font-weight: 600; }
blockquote { margin: 0 0 1.25rem; padding: .75rem 1rem; background: var(--inset); border-left: 3px solid var(--accent);
  border-radius: 0 .5rem .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0 0 1.5rem; }
dt { color: var(--soft); }
dd { margin: 0; font-weight: 500; overflow-wrap: anywhere; }
label { display: block; margin-bottom: .4rem; font-weight: 600; }
input, button, .button { width: 100%; padding: .75rem .9rem; border-radius: .6rem; font: inherit; }
input { color: inherit; background: var(--inset); border: 1px solid var(--soft); }
button, .button { display: block; margin: 1rem 0 1.1rem; text-align: center; text-decoration: none; font-weight: 600;
  cursor: pointer; color: var(--on-accent); background: var(--accent); border: 1px solid transparent; }
button:hover, .button:hover { filter: brightness(1.08); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
code, pre { font: .9rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0 0 1rem; padding: .9rem 1rem; background: var(--inset); border: 1px solid var(--line); border-radius: .6rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.key { -webkit-user-select: all; user-select: all; }
`;

/** For the answers that carry these pages. */
export const PAGE_STYLE_HASH = styleHash(STYLE);

const MARK = `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true" focusable="false">
<path d="M6.5 7.5 12 16.5 17.5 7.5M7.8 6h8.4"/><circle cx="5.5" cy="6" r="2.4"/><circle cx="18.5" cy="6" r="2.4"/>
<circle cx="12" cy="18.5" r="2.4" fill="currentColor"/></svg>`;

const ROLES: Readonly<Record<string, string>> = { admin: 'an admin', member: 'a member', owner: 'the owner' };

/** What the invite is for, and a form. Nothing happens before the form is sent. */
export function invitePage(invite: LookInviteResponse): string {
  const { orgName, role, note, forOneAddress, expiresAtMs } = invite;
  const whose = forOneAddress
    ? 'Enter the address that this invite was sent to.'
    : 'You will be known to the organization by this address.';
  return document(
    `Join ${orgName} on Fleetwire`,
    `<h1>Join ${escapeHtml(orgName)}</h1>
<p>You are invited to join this organization on Fleetwire as ${escapeHtml(ROLES[role] ?? role)}.</p>
${note.trim() === '' ? '' : `<blockquote>${escapeHtml(note)}</blockquote>`}
<form method="post">
<label for="email">Your e-mail address</label>
<input id="email" name="email" type="email" required maxlength="254" autocomplete="email" aria-describedby="whose">
<button type="submit">Accept the invite</button>
</form>
<p class="soft" id="whose">${whose} The invite can be used once, until ${time(expiresAtMs)}.</p>`,
  );
}

/** The only place where a person sees the key. */
export function acceptedPage(accepted: AcceptInviteResponse, howToUse: string): string {
  const { orgName, role, apiKey } = accepted;
  return document(
    `Welcome to ${orgName}`,
    `<h1>Welcome to ${escapeHtml(orgName)}</h1>
<p>You are now ${escapeHtml(ROLES[role] ?? role)} of this organization.</p>
<h2>Your API key</h2>
<pre class="key"><code>${escapeHtml(apiKey)}</code></pre>
<p class="warn">Copy it now: it is not shown again.</p>
<h2>How to use it</h2>
<pre><code>${escapeHtml(howToUse.trim())}</code></pre>
<p class="soft">Keep the key in a file that only you can read. Whoever has it can act as you in this organization.</p>`,
  );
}

const TITLES: Readonly<Record<string, string>> = {
  INVITE_INVALID: 'This invite does not exist',
  INVITE_USED: 'This invite was used already',
  INVITE_EXPIRED: 'This invite has expired',
  INVITE_REVOKED: 'This invite was taken back',
  INVITE_OTHER_EMAIL: 'This invite is for another address',
  PLAN_LIMIT: 'This organization is full',
  ALREADY_MEMBER: 'You are a member already',
  TOO_MANY_REQUESTS: 'One moment, please',
};

/** After these the same link may still work. */
const WORTH_ANOTHER_TRY = new Set(['INVITE_OTHER_EMAIL', 'TOO_MANY_REQUESTS', 'REQUEST_INVALID']);

export function refusedPage(refusal: HttpRefusal): string {
  const { reason, status, message, help, kind } = refusal;
  const title = TITLES[reason] ?? (status >= 500 ? 'Something went wrong here' : 'That did not work');
  const text = sentence(message);
  const again = WORTH_ANOTHER_TRY.has(reason) || kind === 'invalid_argument' || status >= 500;
  return document(
    title,
    `<h1>${escapeHtml(title)}</h1>
${text === `${title}.` ? '' : `<p>${escapeHtml(text)}</p>`}
${help === undefined ? '' : `<p>${escapeHtml(help)}</p>`}
${again ? '<a class="button" href="">Back to the invite</a>' : ''}
<p class="soft">${escapeHtml(reason)}</p>`,
  );
}

function document(title: string, main: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="brand">${MARK}Fleetwire</p>
${main}
</main>
</body>
</html>
`;
}

/** Messages begin in lower case and have no end, as logs want them. */
function sentence(message: string): string {
  const first = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

const DAY = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'long',
  timeStyle: 'short',
  timeZone: 'UTC',
});

/** Reads as `7 March 2026 at 14:05 UTC`. */
function time(ms: number): string {
  const moment = new Date(ms);
  return `<time datetime="${moment.toISOString()}">${DAY.format(moment)} UTC</time>`;
}
