/** Reads sections from the environment: unknown keys and bad values are refused, all of them in one error. */

import { FleetwireError, nearestNames, printable } from '@fleetwire/kernel';
import type { z } from 'zod';
import {
  definedKeys,
  envKey,
  innermost,
  isSecret,
  PREFIX,
  type Section,
  type SectionValues,
} from './section.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
export type Sections = Readonly<Record<string, Section>>;
export type ConfigOf<T extends Sections> = { readonly [K in keyof T]: SectionValues<T[K]> };
export type Overrides<T extends Sections> = {
  readonly [K in keyof T]?: {
    readonly [P in keyof SectionValues<T[K]>]?: SectionValues<T[K]>[P] | undefined;
  };
};

export interface LoadOptions<T extends Sections> {
  /** The process's own environment unless given. */
  readonly env?: Environment | undefined;
  /** Win over the environment; checked in the same way. */
  readonly overrides?: Overrides<T> | undefined;
}

/** Sections of other services: a shared environment file may hold them. */
const FOREIGN = ['ORG', 'REGISTRY', 'ROUTER', 'DELIVERY', 'NODE', 'GATEWAY', 'ENGINE', 'BOARD', 'UP', 'TEST'];

/**
 * The values of `sections`: overrides, else environment, else default. An empty variable counts as not set.
 * Throws `invalid_argument`: UNKNOWN_CONFIG_KEY (help: the nearest known key) or INVALID_CONFIG (key, fault, what is
 * allowed; never the value of a secret).
 */
export function loadConfig<T extends Sections>(sections: T, options: LoadOptions<T> = {}): ConfigOf<T> {
  const env = options.env ?? process.env;
  refuseUnknown(sections, env);
  const faults: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [id, section] of Object.entries(sections)) {
    const overrides = (options.overrides?.[id] ?? {}) as Record<string, unknown>;
    config[id] = readSection(section, env, overrides, faults);
  }
  if (faults.length === 0) return config as ConfigOf<T>;
  throw new FleetwireError('invalid_argument', 'INVALID_CONFIG', faults.join('; '), {
    help: 'Correct the named keys; docs/reference/config.md lists every key with its default.',
    details: { faults: String(faults.length) },
  });
}

function readSection(
  section: Section,
  env: Environment,
  overrides: Readonly<Record<string, unknown>>,
  faults: string[],
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(overrides))
    if (!(key in section.shape)) faults.push(`${envKey(section, key)}: there is no such key`);
  for (const [key, schema] of Object.entries(section.shape) as [string, z.ZodType][]) {
    const name = envKey(section, key);
    const raw = overrides[key] ?? fromText(schema, env[name]);
    const result = schema.safeParse(raw);
    if (!result.success) faults.push(faultLine(name, schema, raw, result.error));
    else if (result.data !== undefined) values[key] = result.data;
  }
  return values;
}

/** What the text of a variable means for this type; text that does not fit is passed on for the schema to refuse. */
function fromText(schema: z.ZodType, text: string | undefined): unknown {
  if (text === undefined || text === '') return undefined;
  const { type } = innermost(schema).def;
  if (type === 'number') return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
  if (type === 'boolean') return BOOLEANS[text.trim().toLowerCase()] ?? text;
  if (type === 'array')
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  return text;
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

function faultLine(name: string, schema: z.ZodType, raw: unknown, error: z.ZodError): string {
  const shown = isSecret(schema) ? 'the value' : `"${printable(String(raw))}"`;
  const allowed = error.issues.map((issue) => allowedBy(issue)).join(', ');
  return `${name}: ${shown} is not allowed: ${allowed}`;
}

function allowedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return `use one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_small') return `at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `at most ${issue.maximum}`;
  if (issue.code === 'invalid_type')
    return issue.expected === 'boolean'
      ? 'use true or false'
      : `use ${issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`}`;
  return issue.message;
}

function refuseUnknown(sections: Sections, env: Environment): void {
  const known = new Set(definedKeys().keys());
  const own = new Set<string>();
  for (const section of Object.values(sections)) {
    if (section.name !== '') own.add(section.name.toUpperCase());
    for (const key of Object.keys(section.shape)) known.add(envKey(section, key));
  }
  const foreign = FOREIGN.filter((name) => !own.has(name)).map((name) => `${PREFIX}${name}_`);
  const unknown = Object.keys(env)
    .filter((key) => key.startsWith(PREFIX) && !known.has(key) && env[key] !== undefined)
    .filter((key) => !foreign.some((prefix) => key.startsWith(prefix)));
  if (unknown.length === 0) return;
  const near = unknown.flatMap((key) => nearestNames(key, known, 1));
  throw new FleetwireError(
    'invalid_argument',
    'UNKNOWN_CONFIG_KEY',
    `unknown configuration: ${unknown.map(printable).join(', ')}`,
    {
      help:
        near.length > 0
          ? `Did you mean ${near.join(', ')}?`
          : 'Unset it; docs/reference/config.md lists every key.',
      details: { keys: unknown.join(','), nearest: near.join(',') },
    },
  );
}
