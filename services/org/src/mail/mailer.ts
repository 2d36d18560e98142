/** The port by which letters leave. */

import { FleetwireError } from '@fleetwire/kernel';

export interface OutgoingLetter {
  /** One address, without a name. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html?: string | undefined;
  /** The same for every try of one letter, so that a letter that was sent twice shows as one. */
  readonly messageId: string;
  /** Ends the try. */
  readonly signal?: AbortSignal | undefined;
}

export interface Mailer {
  /**
   * Resolves when the letter is somebody else's to deliver. Rejects with `failed_precondition` MAIL_REFUSED when no try
   * can help, and with `unavailable` MAIL_NOT_SENT when a later one may.
   */
  send(letter: OutgoingLetter): Promise<void>;
  /** Ends what is open; what is under way is cut off. */
  close(): Promise<void> | void;
}

export const mailRefused = (message: string, cause?: unknown) =>
  new FleetwireError('failed_precondition', 'MAIL_REFUSED', message, {
    help: 'Check the address, or hand over the link in another way.',
    cause,
  });

export const mailNotSent = (message: string, cause?: unknown) =>
  new FleetwireError('unavailable', 'MAIL_NOT_SENT', message, {
    help: 'It is tried again. Check the mail server if this goes on.',
    cause,
  });
