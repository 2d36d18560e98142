/** The port between the node and the programs it hosts: how a message gets into one, and what proves that it did. */

import type { Logger } from '@fleetwire/telemetry';

export interface InjectedMessage {
  readonly id: string;
  /** kernel.messageMarker(id): what shows up in a pane when the program has taken the message up. */
  readonly marker: string;
  readonly fromName: string;
  readonly fromAgent: string;
  /** The address as the sender wrote it. */
  readonly to: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly correlationId: string;
  readonly replyTo: string;
}

/** Whether the program demonstrably has the message, submitted. `reason` is a reason of the error table. */
export type Proof =
  | {
      readonly kind: 'confirmed';
      /** For people. */
      readonly evidence: string;
      /** The line that showed it, as it was seen: printable, at most 200 characters. */
      readonly matched: string;
    }
  | {
      readonly kind: 'unproven';
      readonly reason: string;
      readonly detail: string;
      /** Proof may still come; nothing else should be handed over until then. */
      readonly pending?: boolean;
    };

export interface ProgramState {
  readonly state: 'running' | 'exited';
  readonly pid?: number;
  /** The tmux pane, as "%12 on <socket>". */
  readonly pane?: string;
  readonly exitCode?: number;
}

/** One program. The node calls `inject` for one message at a time, in order, and never twice for the same one. */
export interface Adapter {
  readonly kind: 'tmux' | 'stdio';
  /** Starts the program, or finds the running one again after a restart of the node. */
  start(): Promise<void>;
  /** Hands over and submits one message; a FleetwireError thrown here means it certainly did not reach the program. */
  inject(message: InjectedMessage): Promise<void>;
  /**
   * Looks for proof for about `timeoutMs`, longer for a long body; ends early, unproven, when `signal` aborts or no
   * proof can come any more.
   */
  observe(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof>;
  /** Goes on where proof was pending, looking seldom, for at most `timeoutMs`; ends early as `observe` does. */
  observeLate(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof>;
  /** After a crash between the attempt and its record: looks for the marker, injects nothing. */
  recover(message: InjectedMessage): Promise<Proof>;
  programState(): ProgramState;
  onExit(listener: (state: ProgramState) => void): void;
  /** Ends the program, graceful then forced. */
  stop(): Promise<void>;
}

/** What a program may send, by the line protocol of its adapter. */
export interface ProgramOutgoing {
  readonly id?: string;
  readonly to: string;
  readonly body: Uint8Array;
  readonly contentType?: string;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly ttlMs?: number;
}

export interface AdapterSpec {
  /** The agent's id. */
  readonly agent: string;
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd: string;
  /** The agent's own variables, with FLEETWIRE_NODE_ADDRESS, FLEETWIRE_AGENT and FLEETWIRE_AGENT_TOKEN among them. */
  readonly env: Readonly<Record<string, string>>;
  /** A folder of this agent's own; made by the node. */
  readonly stateDir: string;
  /** What an earlier start saved, '' at first: enough to find the running program again. */
  readonly handle: string;
  saveHandle(handle: string): void;
  /** Accepts a message of the program; resolves when it is on this node's disk. */
  send(outgoing: ProgramOutgoing): Promise<{ id: string }>;
  readonly log: Logger;
}

export type AdapterFactory = (spec: AdapterSpec) => Adapter;
