/** What `agent run` is told of an agent: options, checked here so that a slip is told before anything is started. */

import { foldCapability, LIMITS, VISIBILITIES } from '@fleetwire/contract';
import { AgentProfile } from '@fleetwire/gen/registry';
import { checkName } from '@fleetwire/kernel';
import type { Command } from 'commander';
import { oneOf, unusable } from './arguments.ts';

export interface ProfileOptions {
  readonly model?: string;
  readonly capability?: readonly string[];
  /** False by --no-tools; commander gives true when neither was given. */
  readonly tools?: boolean;
  readonly tool?: readonly string[];
  readonly repo?: string;
  readonly visibility?: string;
  readonly group?: string;
  readonly movable?: boolean;
}

export function addProfileOptions(command: Command): Command {
  return command
    .option('--model <name>', 'which model it is')
    .option('--capability <name>', 'what it can do, for ?NAME; may be given again', capabilities)
    .option('--tool <name>', 'what it may use; may be given again; all when left out', tools)
    .option('--no-tools', 'it may use none')
    .option(
      '--repo <repository>',
      'what it works on, such as github.com/acme/app',
      within('--repo', LIMITS.repoChars),
    )
    .option('--visibility <kind>', VISIBILITIES.join(', '), oneOf('--visibility', VISIBILITIES))
    .option('--group <name>', 'the group of visibility group')
    .option('--movable', 'another node of yours may take it over while this one is away');
}

function within(option: string, max: number): (text: string) => string {
  return (text) => {
    if (text.length > 0 && text.length <= max && !/\p{C}/u.test(text)) return text;
    throw unusable(option, text, `Give 1 to ${max} characters on one line.`);
  };
}

/** Case does not matter. Throws invalid_argument INVALID_OPTION. */
export const capability = (text: string): string => capabilityOf('--capability', text);

/** `where`: what the person wrote it as. Throws invalid_argument INVALID_OPTION. */
export function capabilityOf(where: string, text: string): string {
  const folded = foldCapability(text);
  if (folded !== undefined) return folded;
  throw unusable(where, text, 'Give 1 to 64 letters, digits, dots, underscores and hyphens.');
}

function capabilities(text: string, before: readonly string[] = []): readonly string[] {
  return more('--capability', capability(text), before, LIMITS.capabilities);
}

function tools(text: string, before: readonly string[] = []): readonly string[] {
  return more('--tool', within('--tool', LIMITS.toolChars)(text), before, LIMITS.tools);
}

function more(option: string, next: string, before: readonly string[], max: number): readonly string[] {
  const all = [...new Set([...before, next])];
  if (all.length <= max) return all;
  throw unusable(option, next, `Give at most ${max} of them.`);
}

/** Undefined: nothing was said, and what is known of the agent stays. Throws invalid_argument. */
export function profileOf(o: ProfileOptions): AgentProfile | undefined {
  if (o.tools === false && o.tool !== undefined)
    throw unusable('--no-tools', '', 'Name tools, or say that there are none.');
  if (o.visibility === 'group' && o.group === undefined)
    throw unusable('--visibility', 'group', 'Say which one with --group.');
  if (o.group !== undefined && (o.visibility ?? 'group') !== 'group')
    throw unusable('--group', o.group, 'It goes with --visibility group.');
  if (o.group !== undefined) checkName(o.group, 'group');
  const listed = o.tools === false ? [] : o.tool;
  const said = {
    ...(o.model === undefined ? {} : { model: within('--model', LIMITS.modelChars)(o.model) }),
    ...(o.capability === undefined ? {} : { capabilities: [...o.capability] }),
    ...(listed === undefined ? {} : { tools: { tools: [...listed] } }),
    ...(o.repo === undefined ? {} : { repo: o.repo }),
    ...(o.visibility === undefined ? {} : { visibility: o.visibility }),
    ...(o.group === undefined ? {} : { visibility: 'group', group: o.group }),
    ...(o.movable === undefined ? {} : { movable: o.movable }),
  };
  return Object.keys(said).length === 0 ? undefined : AgentProfile.fromPartial(said);
}
