/** What a tool is: what it says of itself, what it takes, and what it does with that. */

import type { z } from '@fleetwire/config';
import type { AgentDoor } from './agent-door.ts';
import type { People } from './people.ts';

/** One call of a tool, as long as its client waits for it. */
export interface Call {
  /** Aborts when the client does not wait any more: then nobody gets the answer. */
  readonly signal: AbortSignal;
  /** Told once whether the answer has been written to the client, or cannot be any more. */
  settled(told: (written: boolean) => void): void;
  /** For clients that have asked for it: how many seconds of how many have gone by. */
  progress(seconds: number, of: number, message: string): Promise<void>;
}

export interface ToolParts {
  readonly door: AgentDoor;
  readonly people: People;
}

export interface Told {
  readonly document: Readonly<Record<string, unknown>>;
  /** The same for a reader. */
  readonly text: string;
  /** Messages in it that wait no more once it is written; none when left out. */
  readonly taken?: number;
}

export interface Tool<S extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: S;
  readonly annotations: {
    readonly readOnlyHint: boolean;
    readonly destructiveHint: boolean;
    readonly idempotentHint: boolean;
    readonly openWorldHint: boolean;
  };
  /** Throws or rejects FleetwireError for what the caller is to be told. */
  run(parts: ToolParts, input: z.output<S>, call: Call): Promise<Told>;
}

/** Keeps the type of the input together with what uses it. */
export const tool = <S extends z.ZodObject>(made: Tool<S>): Tool => made as unknown as Tool;

/** `1 message`, `2 messages`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Only the first call counts. */
export function once(told: (written: boolean) => void): (written: boolean) => void {
  let tell: typeof told | undefined = told;
  return (written) => {
    const first = tell;
    tell = undefined;
    first?.(written);
  };
}
