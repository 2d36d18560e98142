/** A generated service definition in nice-grpc's own form, encoded with the writer that the process keeps. */

import { type Encodable, encode } from '@fleetwire/gen/encode';
import type { CompatServiceDefinition, MethodDefinition } from 'nice-grpc';
import type { Codec, RpcDefinition } from './types.ts';

type WireMethod = MethodDefinition<unknown, unknown, unknown, unknown>;

export function wireDefinition(definition: RpcDefinition): CompatServiceDefinition {
  const methods: Record<string, WireMethod> = {};
  for (const [key, method] of Object.entries(definition.methods)) {
    const { name, requestType, responseType, requestStream, responseStream, options } = method;
    methods[key] = {
      path: `/${definition.fullName}/${name}`,
      requestStream,
      responseStream,
      requestSerialize: serializer(requestType),
      requestDeserialize: reader(requestType),
      responseSerialize: serializer(responseType),
      responseDeserialize: (bytes) => responseType.decode(bytes),
      options,
    };
  }
  return methods;
}

/** Takes the place of a request that cannot be read: grpc-js would answer INTERNAL, as if the fault were here. */
export class Unreadable {
  readonly why: string;
  constructor(thrown: unknown) {
    this.why = thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function reader(type: Codec): (bytes: Uint8Array) => unknown {
  return (bytes) => {
    try {
      return type.decode(bytes);
    } catch (thrown) {
      return new Unreadable(thrown);
    }
  };
}

/** What is left out of a message has its default. */
function serializer(type: Codec): (message: unknown) => Uint8Array {
  const encodable = type as unknown as Encodable<unknown>;
  return (message) => encode(encodable, type.fromPartial?.(message) ?? message);
}
