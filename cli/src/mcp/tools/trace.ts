/** trace: what became of a message, with times and reasons: from history, else as the agent's own node has it. */

import { z } from '@fleetwire/config';
import type { Receipt } from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import { visible } from '../../output.ts';
import { stageName, traceDocument } from '../../trace-document.ts';
import { waterfall } from '../../waterfall.ts';
import type { AgentDoor } from '../agent-door.ts';
import { type Told, tool } from '../tool.ts';
import { isCount, recipientDocument, recipientLine } from './send.ts';

const input = z.object({ id: z.string().min(1).max(64).describe('the id that send or ask returned') });

export const trace = tool({
  name: 'trace',
  title: 'Follow a message',
  description:
    'Tells what became of a message: accepted, routed, held (waiting for its reader), confirmed (the recipient has it), ' +
    'or how it failed and why.',
  input,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  run: async ({ door, people }, { id }) => {
    const own = people.trace === undefined ? await ownMessage(door, id) : await settled(ownMessage(door, id));
    if (people.trace === undefined) return own as Told;
    const history = await settled(people.trace(id));
    if (!(history instanceof FleetwireError))
      return { document: { ...traceDocument(history), source: 'history' }, text: textOf(waterfall(history)) };
    // History follows mail; its sender's node knows of it at once.
    if (!(own instanceof FleetwireError)) return own;
    throw history.reason === 'MESSAGE_UNKNOWN' ? history : own.reason === 'MESSAGE_UNKNOWN' ? history : own;
  },
});

/** Rejects MESSAGE_UNKNOWN for what is not the agent's own. */
async function ownMessage(door: AgentDoor, id: string): Promise<Told> {
  const { receipts, final } = await door.call((node) => node.waitMessage({ id, timeoutMs: 0 }));
  const recipients = receipts.filter((receipt) => !isCount(receipt));
  const document = { id, final, recipients: recipients.map(told), source: 'node' };
  const lines = recipients.flatMap((receipt) => [
    recipientLine(receipt),
    ...hopsOf(receipt).map((hop) => `  ${hop}`),
  ]);
  return {
    document,
    text: textOf(lines.length === 0 ? [`${id}: accepted, and nothing else known yet`] : lines),
  };
}

const told = (receipt: Receipt): object => ({
  ...recipientDocument(receipt),
  hops: receipt.hops.map(({ stage, service, instance, atUs, reason, detail }) => {
    const at = new Date(atUs / 1000).toISOString();
    return { stage: stageName(stage), service, instance, at, reason, detail };
  }),
});

const hopsOf = ({ hops }: Receipt): string[] =>
  hops.map(({ stage, service, instance, atUs, reason, detail }) => {
    const why = [reason, detail].filter((part) => part !== '').join(': ');
    const at = new Date(atUs / 1000).toISOString();
    return `${at} ${stageName(stage)} by ${service} ${instance}${why === '' ? '' : ` (${visible(why)})`}`;
  });

const textOf = (lines: readonly string[]): string => lines.join('\n');

async function settled<T>(promise: Promise<T>): Promise<T | FleetwireError> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof FleetwireError) return error;
    throw error;
  }
}
