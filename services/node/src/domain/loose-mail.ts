/** Reads what is left of mail that cannot be decoded: enough to tell its sender, never enough to hand it over. */

import { Envelope, InboxEntry } from '@fleetwire/gen/message';

/** Entries that decode, and what could still be read of those that do not. */
export interface LooseEntries {
  readonly sound: readonly InboxEntry[];
  readonly broken: readonly InboxEntry[];
}

/** The entries of an InboxPack that does not decode as a whole; never throws. Field numbers as in message.proto. */
export function looseEntries(pack: Uint8Array): LooseEntries {
  const sound: InboxEntry[] = [];
  const broken: InboxEntry[] = [];
  for (const { field, bytes } of stringsOf(pack)) {
    if (field !== 1) continue;
    try {
      sound.push(InboxEntry.decode(bytes));
    } catch {
      broken.push(looseEntry(bytes));
    }
  }
  return { sound, broken };
}

function looseEntry(entry: Uint8Array): InboxEntry {
  const found = { envelope: new Uint8Array(0), recipients: [] as string[] };
  for (const { field, bytes } of stringsOf(entry)) {
    if (field === 1) found.envelope = new Uint8Array(bytes);
    else if (field === 2) found.recipients.push(textOf(bytes));
  }
  return InboxEntry.fromPartial(found);
}

/** Whose message it is; undefined where that cannot be read. It has no body and does not say when it was accepted. */
export function looseHeader(envelope: Uint8Array): Envelope | undefined {
  const texts = new Map<number, string>();
  for (const { field, bytes } of stringsOf(envelope)) if (field < 8) texts.set(field, textOf(bytes));
  const text = (field: number) => texts.get(field) ?? '';
  const header = { id: text(1), org: text(2), fromAgent: text(3), fromName: text(4), fromNode: text(5) };
  if (header.id === '' || header.fromAgent === '' || header.fromNode === '') return undefined;
  return Envelope.fromPartial({ ...header, to: text(6), correlationId: text(7) });
}

interface Field {
  readonly field: number;
  readonly bytes: Uint8Array;
}

/** The length-delimited fields up to the first byte that makes no sense. */
function* stringsOf(data: Uint8Array): Iterable<Field> {
  for (let at = 0; at < data.length; ) {
    const tag = varint(data, at);
    if (tag === undefined) return;
    const value = varint(data, tag.end);
    const wire = tag.value % 8;
    if (wire === 1 || wire === 5) at = tag.end + (wire === 1 ? 8 : 4);
    else if (value === undefined || (wire !== 0 && wire !== 2)) return;
    else if (wire === 0) at = value.end;
    else {
      at = value.end + value.value;
      if (at > data.length) return;
      yield { field: Math.floor(tag.value / 8), bytes: data.subarray(value.end, at) };
    }
  }
}

/** Undefined where it is cut off or longer than ten bytes; inexact above 2^53. */
function varint(data: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10 && start + i < data.length; i++) {
    const byte = data[start + i]!;
    value += (byte & 127) * 128 ** i;
    if (byte < 128) return { value, end: start + i + 1 };
  }
  return undefined;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
