/** What the node makes of events of its org. */

import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import type { OrgTokens } from '../domain/org-tokens.ts';

/** Revoked tokens are refused from now on. Other events are not for nodes; what cannot be read comes by heartbeat. */
export function hearEvent(tokens: OrgTokens, subject: string, encoded: Uint8Array): void {
  if (eventSubject.parse(subject)?.name !== EVENT_NAMES.tokensRevoked) return;
  const details = detailsOf(encoded);
  const { kind, subject: whose = '', issued_until_ms: untilMs } = details;
  if (kind === undefined || untilMs === undefined) return;
  tokens.learn([{ kind, subject: whose, issuedUntilMs: Number(untilMs) }]);
}

function detailsOf(encoded: Uint8Array): Event['details'] {
  try {
    return Event.decode(encoded).details;
  } catch {
    return {};
  }
}
