/** A section of the configuration: named keys with a zod type, a default and a line of doc each. */

import { z } from 'zod';

export const PREFIX = 'FLEETWIRE_';

export interface Section<S extends z.ZodRawShape = z.ZodRawShape> {
  /** Lower snake case; empty for keys that stand right behind the prefix. */
  readonly name: string;
  readonly shape: S;
}

export type SectionValues<T> = T extends Section<infer S> ? z.output<z.ZodObject<S>> : never;

const defined = new Map<string, Section>();

/**
 * Defines a section: its key `pool_max` is read from `FLEETWIRE_<NAME>_POOL_MAX`, or `FLEETWIRE_POOL_MAX` when the
 * name is empty. Every key needs `.describe()` and either a default or `.optional()`; throws otherwise.
 * What is defined anywhere in a process counts as known to all of its parts.
 */
export function defineSection<S extends z.ZodRawShape>(name: string, shape: S): Section<S> {
  for (const [key, schema] of Object.entries(shape)) {
    if (!/^[a-z][a-z0-9_]*$/.test(key)) throw new Error(`config key ${name}.${key} is not lower snake case`);
    const type = schema as z.ZodType;
    if (!docOf(type)) throw new Error(`config key ${name}.${key} has no line of doc`);
    if (!type.safeParse(undefined).success) throw new Error(`config key ${name}.${key} has no default`);
  }
  const section: Section<S> = { name, shape };
  for (const key of Object.keys(shape)) defined.set(envKey(section, key), section);
  return section;
}

/** The environment variable of a key. */
export function envKey(section: Section, key: string): string {
  const path = section.name === '' ? key : `${section.name}_${key}`;
  return PREFIX + path.toUpperCase();
}

/** All variables of all sections that this process has defined. */
export function definedKeys(): ReadonlyMap<string, Section> {
  return defined;
}

/** A text that is never printed: not in errors, not by `shownConfig`, not handed to child processes. */
export function secretText(): z.ZodString {
  return z.string().meta({ secret: true });
}

/** A whole number from `min` to `max`; `initial` when it is not set. */
export const whole = (initial: number, min: number, max: number) =>
  z.number().int().min(min).max(max).default(initial);

export function isSecret(schema: z.ZodType): boolean {
  return layers(schema).some((layer) => layer.meta()?.['secret'] === true);
}

export function docOf(schema: z.ZodType): string {
  for (const layer of layers(schema)) if (layer.description) return layer.description;
  return '';
}

/** The type behind `.default()`, `.optional()` and the like. */
export function innermost(schema: z.ZodType): z.ZodType {
  return layers(schema).at(-1)!;
}

function layers(schema: z.ZodType): z.ZodType[] {
  const found: z.ZodType[] = [];
  let current: z.ZodType | undefined = schema;
  while (current) {
    found.push(current);
    const def = current.def as { innerType?: z.ZodType; in?: z.ZodType };
    current = def.innerType ?? def.in;
  }
  return found;
}
