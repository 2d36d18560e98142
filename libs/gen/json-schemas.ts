/** JSON Schemas of proto messages, as their JSON form looks (https://protobuf.dev/programming-guides/json/); for documents. */

import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { fileDescriptorSet } from './descriptors.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** Of these messages, by their full names, and of all that they consist of; throws RangeError where there is no such message. */
export function jsonSchemas(names: readonly string[]): Record<string, JsonSchema> {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fileDescriptorSet()));
  const found: Record<string, JsonSchema> = {};
  const add = (message: DescMessage): void => {
    if (found[message.typeName] !== undefined) return;
    const properties: Record<string, JsonSchema> = {};
    // Before its fields: messages may contain themselves.
    found[message.typeName] = { type: 'object', title: message.typeName, properties };
    for (const field of message.fields) properties[field.jsonName] = ofField(field, add);
  };
  for (const name of names) {
    const message = registry.getMessage(name);
    if (message === undefined) throw new RangeError(`there is no message ${name}`);
    add(message);
  }
  return found;
}

export const schemaRef = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });

function ofField(field: DescField, add: (message: DescMessage) => void): JsonSchema {
  switch (field.fieldKind) {
    case 'scalar':
      return ofScalar(field.scalar);
    case 'enum':
      return ofEnum(field.enum.values);
    case 'message':
      add(field.message);
      return schemaRef(field.message.typeName);
    case 'map':
      return { type: 'object', additionalProperties: ofItem(field, add) };
    case 'list':
      return { type: 'array', items: ofItem(field, add) };
  }
}

/** Of one value of a map or of a list. */
function ofItem(
  field: Extract<DescField, { fieldKind: 'map' | 'list' }>,
  add: (message: DescMessage) => void,
): JsonSchema {
  const kind = field.fieldKind === 'map' ? field.mapKind : field.listKind;
  if (kind === 'scalar') return ofScalar(field.scalar!);
  if (kind === 'enum') return ofEnum(field.enum!.values);
  add(field.message!);
  return schemaRef(field.message!.typeName);
}

const ofEnum = (values: readonly { readonly name: string }[]): JsonSchema => ({
  type: 'string',
  enum: values.map(({ name }) => name),
});

const LONG: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

function ofScalar(scalar: ScalarType): JsonSchema {
  if (scalar === ScalarType.BOOL) return { type: 'boolean' };
  if (scalar === ScalarType.STRING) return { type: 'string' };
  if (scalar === ScalarType.BYTES) return { type: 'string', contentEncoding: 'base64' };
  if (scalar === ScalarType.DOUBLE || scalar === ScalarType.FLOAT) return { type: 'number' };
  return LONG.has(scalar) ? { type: 'string', pattern: '^-?[0-9]+$' } : { type: 'integer' };
}
