/** Letters without a mail server: they are written to the log, for development and for a hub of one's own. */

import type { Mailer } from './mailer.ts';

/** The part of a pino logger that is used here. */
export interface MailLog {
  info(fields: object, message: string): void;
}

/** Never rejects. Whoever reads the log can accept the invites in it. */
export function createLogMailer(log: MailLog): Mailer {
  return {
    async send({ to, subject, text }) {
      log.info({ to, subject, link: linkOf(text) }, 'a letter; there is no mail server to send it');
    },
    close() {},
  };
}

/** The first line that is a link and nothing else; no name or note can hold a whole line before it. */
const linkOf = (text: string): string => /^https?:\/\/\S+$/m.exec(text)?.[0] ?? '';
