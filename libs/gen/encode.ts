/** Encodes messages with a writer that is kept: a new one grows from 128 bytes, and leaves every buffer on the way behind. */

import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A message type as ts-proto writes it. */
export interface Encodable<T> {
  encode(message: T, writer?: BinaryWriter): BinaryWriter;
}

/** A writer that had to hold more is given up, with its memory. */
const KEPT_BYTES = 1024 * 1024;

let kept: BinaryWriter | undefined;

export function encode<T>(type: Encodable<T>, message: T): Uint8Array<ArrayBuffer> {
  // Taken out meanwhile: one that a failed encoding has left half written is never used again.
  const writer = kept ?? new BinaryWriter();
  kept = undefined;
  const bytes = type.encode(message, writer).finish();
  if (bytes.length <= KEPT_BYTES) kept = writer;
  return bytes;
}
