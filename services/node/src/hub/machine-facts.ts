/** What this machine is and has, as far as the hub is told: labels, tools on the path, processors, memory. */

import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { LIMITS } from '@fleetwire/contract';
import type { NodeFacts } from '@fleetwire/gen/message';

export interface FactsParts {
  readonly labels: readonly string[];
  /** Names that are looked for. */
  readonly tools: readonly string[];
  /** As PATH. */
  readonly searchPath: string;
  monotonicMs(): number;
}

/** Folders of the path that are looked into. */
const FOLDERS_MAX = 64;
/** Between two looks: what is installed later is seen too. */
const LOOK_MS = 60_000;
/** On Windows programs end so. */
const ENDINGS = process.platform === 'win32' ? /\.(exe|cmd|bat)$/i : undefined;

export class MachineFacts {
  readonly #parts: FactsParts;
  #tools: readonly string[] = [];
  #looking: Promise<void> | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** What the hub has last answered to, as text. */
  #told = '';

  constructor(parts: FactsParts) {
    this.#parts = parts;
  }

  current(): NodeFacts {
    const capabilities = this.#parts.labels.slice(0, LIMITS.capabilities);
    return { capabilities, tools: [...this.#tools], cpus: availableParallelism(), memoryBytes: totalmem() };
  }

  /** What the hub does not know yet. */
  news(): NodeFacts | undefined {
    const facts = this.current();
    return JSON.stringify(facts) === this.#told ? undefined : facts;
  }

  /** The hub has answered to them. */
  told(facts: NodeFacts): void {
    this.#told = JSON.stringify(facts);
  }

  /** Looks for the tools when that was long ago; never rejects. A folder that does not answer holds up this promise only. */
  look(): Promise<void> {
    const nowMs = this.#parts.monotonicMs();
    if (this.#looking !== undefined) return this.#looking;
    if (nowMs - this.#lookedAtMs < LOOK_MS) return Promise.resolve();
    this.#lookedAtMs = nowMs;
    this.#looking = this.#find().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #find(): Promise<void> {
    const { searchPath, tools } = this.#parts;
    const wanted = new Set(tools.slice(0, LIMITS.tools));
    const found = new Set<string>();
    const folders = [...new Set(searchPath.split(delimiter))].filter((folder) => folder !== '');
    for (const folder of folders.slice(0, FOLDERS_MAX)) {
      for (const file of await readdir(folder).catch(() => [])) {
        const name = ENDINGS === undefined ? file : file.replace(ENDINGS, '').toLowerCase();
        if (wanted.has(name) && !found.has(name) && (await runs(join(folder, file)))) found.add(name);
      }
    }
    this.#tools = [...found].sort();
  }
}

function runs(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** 0 idle to 10 busy: the machine's load or how full the agents' queues are, whichever is more. */
export function loadOf(loadAverage: number, cpus: number, queuesFull: number): number {
  const share = Math.max(loadAverage / Math.max(1, cpus), queuesFull);
  return Math.round(10 * Math.min(1, Math.max(0, share)));
}
