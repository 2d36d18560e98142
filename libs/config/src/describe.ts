/** The configuration shown: rows for the reference page, and values with secrets left out. */

import type { z } from 'zod';
import type { ConfigOf, Sections } from './load.ts';
import { docOf, envKey, isSecret } from './section.ts';

export interface ConfigRow {
  /** The environment variable. */
  readonly key: string;
  /** As text; empty when there is none. */
  readonly default: string;
  readonly doc: string;
  readonly secret: boolean;
}

const HIDDEN = '(secret)';

/** One row for each key, in the order of definition. */
export function describeConfig(sections: Sections): readonly ConfigRow[] {
  return Object.values(sections).flatMap((section) =>
    (Object.entries(section.shape) as [string, z.ZodType][]).map(([key, schema]) => {
      const initial = schema.parse(undefined);
      return {
        key: envKey(section, key),
        default: initial === undefined ? '' : String(initial),
        doc: docOf(schema),
        secret: isSecret(schema),
      };
    }),
  );
}

/** The values in force by environment variable, for `doctor` and the log; secrets are replaced. */
export function shownConfig<T extends Sections>(sections: T, config: ConfigOf<T>): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const [id, section] of Object.entries(sections)) {
    const values = config[id] as Readonly<Record<string, unknown>>;
    for (const [key, schema] of Object.entries(section.shape)) {
      const value = values[key];
      if (value !== undefined)
        shown[envKey(section, key)] = isSecret(schema as z.ZodType) ? HIDDEN : String(value);
    }
  }
  return shown;
}
