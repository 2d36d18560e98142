/** The letters of the org service: which mailer, and what the audit is told of each. */

import type { Clock } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import type { OrgConfig } from '../config.ts';
import { writeAudit } from '../store/records.ts';
import { createLogMailer } from './log.ts';
import type { Mailer } from './mailer.ts';
import { createMailQueue, type LetterEnd, type MailQueue } from './queue.ts';
import { createSmtpMailer } from './smtp.ts';

export interface MailingOptions {
  readonly config: OrgConfig;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Without a mail server letters go to the log; the audit says which way each has gone. */
export function mailing({ config, store, clock, log }: MailingOptions): MailQueue {
  const url = config.smtp_url;
  const mailer: Mailer =
    url === undefined
      ? createLogMailer(log)
      : createSmtpMailer({ url, from: config.mail_from, timeoutMs: config.mail_timeout_ms });
  return createMailQueue({
    store,
    mailer,
    clock,
    log,
    onLetter: (end, { query }) => writeAudit(query, entryOf(end, url === undefined ? 'log' : 'smtp')),
    concurrency: config.mail_concurrency,
    sendTimeoutMs: config.mail_timeout_ms,
    retry: { initialMs: config.mail_retry_initial_ms, maxMs: config.mail_retry_max_ms },
  });
}

function entryOf(end: LetterEnd, by: string) {
  const { id, org, recipient, state, attempts, error, atMs } = end;
  return {
    org,
    atMs,
    actorKind: 'service',
    actor: 'org',
    action: 'invite.mail',
    target: id,
    decision: 'allowed',
    peer: '',
    details: { recipient, state, by, attempts: String(attempts), ...(error === '' ? {} : { error }) },
  } as const;
}
