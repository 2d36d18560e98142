/** For modules that are loaded first (`node --import`): puts other text into one module of the product as it is loaded. */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

export interface Replacement {
  /** From the root of the repository. */
  readonly file: string;
  /** Must be in the file exactly once. */
  readonly text: string;
  readonly by: string;
}

const ROOT = new URL('../../', import.meta.url);

/** Throws, so that the process does not start, when a text is not in its file exactly once: the product has changed. */
export function replaceSource(name: string, replacements: readonly Replacement[]): void {
  const sources = new Map<string, string>();
  for (const { file, text, by } of replacements) {
    const url = new URL(file, ROOT).href;
    const source = sources.get(url) ?? readFileSync(new URL(url), 'utf8');
    const found = source.split(text).length - 1;
    if (found !== 1) throw new Error(`${name}: ${file} has ${found} times what is to be replaced:\n${text}`);
    sources.set(
      url,
      source.replace(text, () => by),
    );
  }
  registerHooks({
    load(url, context, next) {
      const source = sources.get(url);
      if (source === undefined) return next(url, context);
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
}
