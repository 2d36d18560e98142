// What the adapters' tests stand on: a spec in a temporary folder, and messages.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageMarker, newMessageId } from '@fleetwire/kernel';
import { silentLog } from '@fleetwire/testkit';
import type { AdapterSpec, InjectedMessage, ProgramOutgoing } from '../../src/adapters/port.ts';

export function aMessage(body: string | Uint8Array, fields: Partial<InjectedMessage> = {}): InjectedMessage {
  const id = newMessageId();
  return {
    id,
    marker: messageMarker(id),
    fromName: 'bob',
    fromAgent: 'a_bbbbbbbbbbbbbbbb',
    to: 'alice',
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
    contentType: '',
    correlationId: id,
    replyTo: '',
    ...fields,
  };
}

export interface Stand {
  readonly spec: AdapterSpec;
  readonly sent: ProgramOutgoing[];
  /** What the adapter saved last. */
  handle(): string;
}

let count = 0;

export function aStand(folder: string, command: readonly string[], over: Partial<AdapterSpec> = {}): Stand {
  const agent = `a_${String(count++).padStart(16, '0')}`;
  const stateDir = join(folder, agent);
  mkdirSync(stateDir, { recursive: true });
  const sent: ProgramOutgoing[] = [];
  let saved = '';
  const spec: AdapterSpec = {
    agent,
    name: `agent-${agent.slice(-3)}`,
    command,
    cwd: folder,
    env: { FLEETWIRE_AGENT: 'alice', FLEETWIRE_AGENT_TOKEN: 'secret;' },
    stateDir,
    handle: '',
    saveHandle: (handle) => {
      saved = handle;
    },
    send: async (outgoing) => {
      sent.push(outgoing);
      return { id: outgoing.id ?? newMessageId() };
    },
    log: silentLog,
    ...over,
  };
  return { spec, sent, handle: () => saved };
}

/** The command line for one of the programs beside the tests. */
export function program(name: string, ...args: string[]): string[] {
  return [process.execPath, join(import.meta.dirname, 'programs', `${name}.ts`), ...args];
}
