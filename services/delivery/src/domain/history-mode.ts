/** What of an org's messages history keeps, and what of a message that leaves. */

import { encode } from '@fleetwire/gen/encode';
import { Envelope } from '@fleetwire/gen/message';

/** `metadata`: all but the body. `off`: what became of a message, not the message. */
export type HistoryMode = 'full' | 'metadata' | 'off';

/** Who knows what each org has chosen. */
export type HistoryModes = (org: string) => HistoryMode;

export const KEEP_ALL: HistoryModes = () => 'full';

/** A choice that this version does not know is one to keep less: bodies stay out. */
export function historyMode(chosen: string | undefined): HistoryMode {
  if (chosen === undefined || chosen === '' || chosen === 'full') return 'full';
  return chosen === 'off' ? 'off' : 'metadata';
}

/** The envelope encoded without its body. */
export function withoutBody(envelope: Envelope): Uint8Array {
  return encode(Envelope, { ...envelope, body: NO_BODY });
}

const NO_BODY = new Uint8Array(0);

/** True for bodies in which people look for words: text, and JSON; an empty type stands for text. */
export function isTextType(contentType: string): boolean {
  return contentType === '' || TEXT_TYPE.test(contentType);
}

const TEXT_TYPE = /^(?:text\/|application\/(?:[\w.-]+\+)?json(?:;|$))/i;
