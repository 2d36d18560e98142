/** The rules that the documents keep, as functions from texts to findings, so that the rules themselves can be tested. */

import { posix } from 'node:path';
import type { buildProgram } from '../../cli/src/program.ts';
import type { SourceFile } from './source-tree.ts';

type Command = ReturnType<typeof buildProgram>;

const FENCE = /^```[^\n]*\n([\s\S]*?)^```/gm;
const SPAN = /`([^`\n]+)`/g;

/** The lines of fenced blocks, and each inline span as a line of its own. */
export function codeLines(text: string): string[] {
  const blocks = [...text.matchAll(FENCE)].flatMap(([, block]) => block!.split('\n'));
  return [...blocks, ...spans(text)];
}

const withoutFences = (text: string) => text.replace(FENCE, '');
const spans = (text: string) => [...withoutFences(text).matchAll(SPAN)].map(([, span]) => span!);

/** Headings as GitHub names their anchors. */
function anchors(text: string): Set<string> {
  const headings = [...withoutFences(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Relative links that lead nowhere, in a file or to a heading of it. */
export function linkFindings(documents: readonly SourceFile[], exists: (path: string) => boolean): string[] {
  const findings: string[] = [];
  const byPath = new Map(documents.map((document) => [document.path, document.text]));
  for (const { path, text } of documents) {
    const prose = withoutFences(text).replace(SPAN, '');
    for (const [, target] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file, anchor] = target!.split('#') as [string, string?];
      const to = file === '' ? path : posix.normalize(posix.join(posix.dirname(path), file));
      if (!exists(to)) findings.push(`${path}: ${target} leads nowhere`);
      else if (anchor !== undefined && !anchors(byPath.get(to) ?? '').has(anchor))
        findings.push(`${path}: ${target} names no heading`);
    }
  }
  return findings;
}

/** Code for TypeScript that says whose it is (`// libs/sdk/examples/x.ts`), and is not that file's word for word. */
export function snippetFindings(documents: readonly SourceFile[], read: (path: string) => string): string[] {
  const findings: string[] = [];
  for (const { path, text } of documents)
    for (const [, from, code] of text.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)^```/gm))
      if (!read(from!).includes(code!)) findings.push(`${path}: not what ${from} has`);
  return findings;
}

/** `make` with a target that the Makefile does not have. */
export function targetFindings(documents: readonly SourceFile[], makefile: string): string[] {
  const targets = new Set([...makefile.matchAll(/^([a-z][a-z-]*):/gm)].map(([, target]) => target));
  const findings: string[] = [];
  for (const { path, text } of documents)
    for (const line of codeLines(text))
      for (const [, target] of line.matchAll(/(?:^|[\s;&|])make ([a-z][a-z-]*)/g))
        if (!targets.has(target!)) findings.push(`${path}: there is no "make ${target}"`);
  return findings;
}

/** Command lines of `fleetwire` that its grammar does not know, by command or by option. */
export function commandFindings(documents: readonly SourceFile[], program: Command): string[] {
  const findings: string[] = [];
  for (const { path, text } of documents)
    for (const line of codeLines(text))
      for (const [, words] of line.matchAll(/(?:^|[\s;&|])fleetwire ((?:--)?[a-z][^;&|#]*)/g)) {
        const fault = commandFault(words!.trim().split(/\s+/), program);
        if (fault !== undefined) findings.push(`${path}: "fleetwire ${words!.trim()}": ${fault}`);
      }
  return findings;
}

function commandFault(words: readonly string[], program: Command): string | undefined {
  // `fleetwire router: STREAM_MISSING` is what a service says when it fails.
  if (words[0]!.endsWith(':')) return undefined;
  let command = program;
  for (const word of words) {
    if (word === '--') break;
    if (word.startsWith('--')) {
      const known = ['--help', ...command.options.map((option) => option.long)];
      if (!known.includes(word)) return `there is no ${word}`;
    } else if (command.commands.length > 0) {
      const sub = command.commands.find((each) => each.name() === word);
      if (sub === undefined) return `there is no command ${word}`;
      command = sub;
    }
  }
  return undefined;
}

/** Keys of the configuration that are not in its reference. `FLEETWIRE_NODE_*` names a group. */
export function keyFindings(documents: readonly SourceFile[], reference: string): string[] {
  const known = new Set(reference.match(/FLEETWIRE_[A-Z_]+/g));
  const findings: string[] = [];
  for (const { path, text } of documents)
    for (const key of new Set(text.match(/FLEETWIRE_[A-Z_]+/g)))
      if (!key.endsWith('_') && !known.has(key)) findings.push(`${path}: there is no ${key}`);
  return findings;
}

/** Short forms that the life of a message says it uses. */
const SHORT: Readonly<Record<string, string>> = {
  'docs/life-of-a-message.md': '^(node|router|delivery)/',
};

/** Paths of the repository, written as code, that are not there. */
export function pathFindings(documents: readonly SourceFile[], exists: (path: string) => boolean): string[] {
  const findings: string[] = [];
  for (const { path, text } of documents)
    for (const span of spans(text)) {
      const short = SHORT[path];
      const full = short === undefined ? span : span.replace(new RegExp(short), 'services/$1/src/');
      if (!/^(libs|services|cli|docs|test|bench|proto|deploy)\/[\w./-]*$/.test(full)) continue;
      if (!exists(full)) findings.push(`${path}: ${span} is not there`);
    }
  return findings;
}

/** Decision records that their index leaves out. */
export function indexFindings(index: string, files: readonly string[]): string[] {
  return files.filter((file) => !index.includes(`(${file})`)).map((file) => `the index lacks ${file}`);
}
