/** The protos in binary form, for server reflection; `npm run gen` writes the file. */

import { readFileSync } from 'node:fs';

let bytes: Uint8Array | undefined;

/** A serialized google.protobuf.FileDescriptorSet of all files, dependencies included. */
export function fileDescriptorSet(): Uint8Array {
  bytes ??= new Uint8Array(readFileSync(new URL('./src/descriptors.binpb', import.meta.url)));
  return bytes;
}
