/** Identifiers: message ids are lowercase ULIDs (https://github.com/ulid/spec), the rest a type letter and 80 random bits. */

import type { Clock, Random } from './ports.ts';
import { nowMs, systemClock, systemRandom } from './ports.ts';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ULID = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** Letters that tell the type of an id. */
export const ID_PREFIXES = {
  org: 'o',
  node: 'n',
  agent: 'a',
  /** Channels and groups. */
  channel: 'c',
  user: 'u',
  key: 'k',
  join: 'j',
  invite: 'i',
  workspace: 'w',
  repo: 'r',
  policy: 'p',
  event: 'e',
} as const;
export type IdType = keyof typeof ID_PREFIXES;

/** 26 characters, lowercase, sortable by time (milliseconds); 80 random bits. */
export function newMessageId(clock: Clock = systemClock, random: Random = systemRandom): string {
  return messageIdTime(nowMs(clock)) + base32(random.bytes(10));
}

/** What message ids made in this millisecond begin with: in the order of their bytes no earlier id is above it. */
export function messageIdTime(ms: number): string {
  let time = Math.min(Math.max(0, Math.floor(ms)), ID_TIME_MAX);
  let head = '';
  for (let i = 0; i < 10; i++) {
    head = ALPHABET[time % 32] + head;
    time = Math.floor(time / 32);
  }
  return head;
}
/** 48 bits. */
const ID_TIME_MAX = 2 ** 48 - 1;

/** The millisecond that a message id says it was made in; undefined for what is no message id. */
export function timeOfMessageId(id: string): number | undefined {
  if (!isMessageId(id)) return undefined;
  let ms = 0;
  for (let i = 0; i < 10; i++) ms = ms * 32 + ALPHABET.indexOf(id[i]!);
  return ms;
}

/** W3C Trace Context (https://www.w3.org/TR/trace-context/); ids that are all zeros are none. */
export const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export function isMessageId(value: string): boolean {
  return ULID.test(value);
}

/** The eight characters of a message id that a pane is searched for: from its random part. */
export function messageMarker(id: string): string {
  return id.slice(-8);
}

/** For example `a_k3v9q0m2x8r4t6wz`: safe as a subject token, in file names and in URLs. */
export function newId(type: IdType, random: Random = systemRandom): string {
  return `${ID_PREFIXES[type]}_${base32(random.bytes(10))}`;
}

export function isId(type: IdType, value: string): boolean {
  return value.startsWith(`${ID_PREFIXES[type]}_`) && /^[a-z]_[0-9a-hjkmnp-tv-z]{16}$/.test(value);
}

/** Crockford base32, lowercase, five bits a character; the length must be a multiple of five bytes. */
function base32(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 5) {
    let high = (bytes[i]! << 12) | (bytes[i + 1]! << 4) | (bytes[i + 2]! >> 4);
    let low = ((bytes[i + 2]! & 0x0f) << 16) | (bytes[i + 3]! << 8) | bytes[i + 4]!;
    let text = '';
    for (let k = 0; k < 4; k++) {
      text = ALPHABET[low & 31] + text;
      low >>= 5;
    }
    for (let k = 0; k < 4; k++) {
      text = ALPHABET[high & 31] + text;
      high >>= 5;
    }
    out += text;
  }
  return out;
}
