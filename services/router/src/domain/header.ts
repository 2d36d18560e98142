/** Reads the header of an envelope in place: what routing and receipts need, without touching the body's bytes. */

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { LIMITS } from '@fleetwire/contract';

/** The fields of an Envelope that a router looks at. */
export interface EnvelopeHeader {
  id: string;
  org: string;
  fromAgent: string;
  fromNode: string;
  to: string;
  correlationId: string;
  traceparent: string;
  /** As it was written: outside the safe integers, the generated decoder reads none of the envelope. */
  acceptedAtUs: number;
  ttlMs: number;
  local: boolean;
  /** Of a replay: the one agent that it is for; empty: whomever the address means. */
  localAgent: string;
  /** 0, but of a replay. */
  attempt: number;
  /** A Priority, or a number that this version does not know. */
  priority: number;
  localServed: boolean;
  /** The message that this one takes back; empty: none. */
  cancels: string;
  bodyBytes: number;
}

/** One envelope of a pack: its bytes as they came, and its header, or undefined where it could not be read. */
export interface PackedEnvelope {
  readonly bytes: Uint8Array;
  readonly header: EnvelopeHeader | undefined;
}

/**
 * Splits an encoded IngressPack. Undefined when the pack itself is not readable or holds more than
 * LIMITS.packMessagesRead; an envelope that is not readable costs only itself. The bytes are views, not copies.
 */
export function readPack(data: Uint8Array): PackedEnvelope[] | undefined {
  const reader = new BinaryReader(data);
  const found: PackedEnvelope[] = [];
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag >>> 3 !== 1) {
        reader.skip(tag & 7, tag >>> 3);
        continue;
      }
      if ((tag & 7) !== 2 || found.length === LIMITS.packMessagesRead) return undefined;
      const length = reader.uint32();
      const start = reader.pos;
      if (start + length > reader.len) return undefined;
      found.push({
        bytes: data.subarray(start, start + length),
        header: readHeader(reader, start + length),
      });
      reader.pos = start + length;
    }
  } catch {
    return undefined;
  }
  return found;
}

/** Reads up to `end`; undefined when the bytes are no Envelope. Field numbers as in message.proto. */
function readHeader(reader: BinaryReader, end: number): EnvelopeHeader | undefined {
  const header = emptyHeader();
  try {
    while (reader.pos < end) readField(reader, reader.uint32(), header);
  } catch {
    return undefined;
  }
  return reader.pos === end && header.id !== '' ? header : undefined;
}

function readField(reader: BinaryReader, tag: number, header: EnvelopeHeader): void {
  switch (tag) {
    case (1 << 3) | 2:
      header.id = reader.string();
      return;
    case (2 << 3) | 2:
      header.org = reader.string();
      return;
    case (3 << 3) | 2:
      header.fromAgent = reader.string();
      return;
    case (5 << 3) | 2:
      header.fromNode = reader.string();
      return;
    case (6 << 3) | 2:
      header.to = reader.string();
      return;
    case (7 << 3) | 2:
      header.correlationId = reader.string();
      return;
    case (9 << 3) | 2:
      header.traceparent = reader.string();
      return;
    case 10 << 3: {
      const atUs = Number(reader.int64());
      // The generated decoder refuses the first that is out of range, whatever comes behind it.
      if (Number.isSafeInteger(header.acceptedAtUs)) header.acceptedAtUs = atUs;
      return;
    }
    case 11 << 3:
      header.ttlMs = reader.uint32();
      return;
    case 13 << 3:
      header.local = reader.bool();
      return;
    case (14 << 3) | 2:
      header.localAgent = reader.string();
      return;
    case (15 << 3) | 2:
      header.bodyBytes = reader.uint32();
      reader.pos += header.bodyBytes;
      return;
    case 16 << 3:
      header.priority = reader.int32();
      return;
    case 17 << 3:
      header.localServed = reader.bool();
      return;
    case 18 << 3:
      header.attempt = reader.uint32();
      return;
    case (19 << 3) | 2:
      header.cancels = reader.string();
      return;
    case 0:
      // There the generated decoder ends: what stands behind it would be read here only.
      throw new RangeError('no field has the number 0');
    default:
      reader.skip(tag & 7, tag >>> 3);
  }
}

function emptyHeader(): EnvelopeHeader {
  return {
    id: '',
    org: '',
    fromAgent: '',
    fromNode: '',
    to: '',
    correlationId: '',
    traceparent: '',
    acceptedAtUs: 0,
    ttlMs: 0,
    local: false,
    localAgent: '',
    attempt: 0,
    priority: 0,
    localServed: false,
    cancels: '',
    bodyBytes: 0,
  };
}
