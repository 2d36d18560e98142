/** What a node tells of itself, made fit to be kept and shown: bounded, and without control characters. */

import { foldCapability, LIMITS } from '@fleetwire/contract';
import type { NodeFacts } from '@fleetwire/gen/message';
import type { StoredFacts } from '../store/entities.ts';

const CPUS_MAX = 100_000;

/** One line of at most `max` characters. */
export function cleaned(text: string, max = 64): string {
  return text.replace(/\p{C}/gu, '').slice(0, max).toWellFormed();
}

/** What does not fit is left out. */
export function cleanedFacts(facts: NodeFacts): StoredFacts {
  const capabilities = facts.capabilities
    .slice(0, 4 * LIMITS.capabilities)
    .map(foldCapability)
    .filter((one) => one !== undefined);
  const tools = facts.tools.slice(0, 4 * LIMITS.tools).map((tool) => cleaned(tool, LIMITS.toolChars));
  return {
    capabilities: distinct(capabilities, LIMITS.capabilities),
    tools: distinct(
      tools.filter((tool) => tool !== ''),
      LIMITS.tools,
    ),
    cpus: Math.min(facts.cpus, CPUS_MAX),
    memoryBytes: Math.min(facts.memoryBytes, Number.MAX_SAFE_INTEGER),
  };
}

export function shownFacts(stored: StoredFacts): NodeFacts {
  const { capabilities = [], tools = [], cpus = 0, memoryBytes = 0 } = stored;
  return { capabilities: [...capabilities], tools: [...tools], cpus, memoryBytes };
}

const distinct = (all: readonly string[], max: number): string[] => [...new Set(all)].slice(0, max);
