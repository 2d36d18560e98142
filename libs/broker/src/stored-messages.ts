/** Reading and deleting single messages of a stream, always at the stream's leader. */

import { findHeader } from './headers.ts';
import { ERR_CODES, isJetstreamError } from './jetstream-errors.ts';
import type { JetstreamApi } from './request.ts';

export interface StoredMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** Broker time, microseconds. */
  readonly storedAtUs: number;
  header(name: string): string;
}

export interface StoredMessages {
  /** Undefined when it is no longer there. */
  get(stream: string, sequence: number): Promise<StoredMessage | undefined>;
  /** The newest message of one subject. */
  lastBySubject(stream: string, subject: string): Promise<StoredMessage | undefined>;
  /** The first message of a subject filter at or after `sequence`. */
  nextBySubject(stream: string, subject: string, sequence: number): Promise<StoredMessage | undefined>;
  /** False when it was gone already. */
  deleteMessage(stream: string, sequence: number): Promise<boolean>;
}

interface RawMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data?: string;
  readonly hdrs?: string;
  readonly time: string;
}

export function createStoredMessages(api: JetstreamApi): StoredMessages {
  const get = (stream: string, query: object) => read(api, stream, query);
  return {
    get: (stream, sequence) => get(stream, { seq: sequence }),
    lastBySubject: (stream, subject) => get(stream, { last_by_subj: subject }),
    nextBySubject: (stream, subject, sequence) => get(stream, { seq: sequence, next_by_subj: subject }),
    async deleteMessage(stream, sequence) {
      try {
        await api.call(`STREAM.MSG.DELETE.${stream}`, { seq: sequence, no_erase: true });
        return true;
      } catch (error) {
        const gone = isJetstreamError(error, ERR_CODES.messageNotFound, ERR_CODES.messageDeleteFailed);
        if (gone && (await get(stream, { seq: sequence })) === undefined) return false;
        throw error;
      }
    },
  };
}

async function read(api: JetstreamApi, stream: string, query: object): Promise<StoredMessage | undefined> {
  try {
    const { message } = await api.call<{ message: RawMessage }>(`STREAM.MSG.GET.${stream}`, query);
    const headers = message.hdrs === undefined ? '' : Buffer.from(message.hdrs, 'base64').toString('utf8');
    return {
      subject: message.subject,
      data: Buffer.from(message.data ?? '', 'base64'),
      sequence: message.seq,
      storedAtUs: microsOf(message.time),
      header: (name) => findHeader(headers, name),
    };
  } catch (error) {
    if (isJetstreamError(error, ERR_CODES.messageNotFound)) return undefined;
    throw error;
  }
}

/** RFC 3339 with up to nine digits of a second, in UTC as the server writes it, to microseconds since the epoch. */
export function microsOf(time: string): number {
  const dot = time.indexOf('.');
  if (dot === -1) return Date.parse(time) * 1000;
  const digits = /^\d+/.exec(time.slice(dot + 1))?.[0] ?? '';
  const zone = time.slice(dot + 1 + digits.length);
  return Date.parse(time.slice(0, dot) + zone) * 1000 + Number(digits.padEnd(6, '0').slice(0, 6));
}
