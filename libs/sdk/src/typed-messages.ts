/** Messages that the node has typed into this program's terminal: the ids behind the markers on the screen. */

import { readFileSync } from 'node:fs';
import { type Environment, loadConfig, sections } from '@fleetwire/config';
import { isMessageId } from '@fleetwire/kernel';

/** What it takes to answer a message. */
export interface Answerable {
  readonly id: string;
  /** Name of the sending agent. */
  readonly from: string;
  readonly correlationId: string;
}

/**
 * The message behind `[fleetwire <marker>]`, for Agent.reply; undefined when it is not, or not any more, among the last
 * few thousand, or when this program was not started in a terminal by a node.
 */
export function typedMessage(marker: string, env?: Environment): Answerable | undefined {
  const path = loadConfig({ ambient: sections.ambient }, { env }).ambient.agent_messages;
  if (path === undefined || !/^[0-9a-z]{8}$/.test(marker)) return undefined;
  for (const file of [path, `${path}.1`]) {
    const line = linesOf(file).findLast((text) => text.startsWith(`{"marker":"${marker}"`));
    if (line !== undefined) return read(line);
  }
  return undefined;
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    // Nothing was typed yet, or the older half does not exist.
    return [];
  }
}

function read(line: string): Answerable | undefined {
  const { id, from, correlation_id } = JSON.parse(line) as Record<string, string>;
  if (id === undefined || from === undefined || !isMessageId(id)) return undefined;
  return { id, from, correlationId: correlation_id ?? id };
}
