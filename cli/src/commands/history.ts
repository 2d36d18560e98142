/** history: the messages of the org, newest first, by thread, sender, recipient, stage, time and words. */

import type { ListMessagesRequest, Message } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { isId } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { allRows } from '../all-pages.ts';
import { moment, oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { checkAgent } from '../fleet.ts';
import { historyDocument } from '../history-document.ts';
import type { Hub } from '../hub.ts';
import { table, visible } from '../output.ts';
import { stageName } from '../trace-document.ts';

const STAGES = Object.values(Stage).filter(
  (stage): stage is Stage => typeof stage === 'number' && stage > Stage.UNSPECIFIED,
);
const STAGE_BY_NAME = new Map(STAGES.map((stage) => [stageName(stage), stage]));

export function addHistoryCommand(program: Command, action: Action): void {
  program
    .command('history')
    .description('messages of the org, newest first')
    .option('--thread <id>', 'of this conversation: the id of its first message, or its correlation id')
    .option('--from <agent>', 'sent by this agent; by id, when it is gone')
    .option('--to <address>', 'sent to this address, as it was written')
    .option('--recipient <agent>', 'for this agent, however it was addressed')
    .option('--stage <stage>', 'that came so far', oneOf('--stage', [...STAGE_BY_NAME.keys()]))
    .option('--since <time>', 'from this time on, or so long ago: 2h, 7d', moment('--since'))
    .option('--until <time>', 'before this time', moment('--until'))
    .option('--text <words>', 'with these words; "in quotes" for a phrase, -word for without')
    .option('--limit <n>', 'this many at most', wholeNumber('--limit', 1, 10_000), 50)
    .action(action(history));
}

interface HistoryOptions {
  readonly thread?: string;
  readonly from?: string;
  readonly to?: string;
  readonly recipient?: string;
  readonly stage?: string;
  readonly since?: number;
  readonly until?: number;
  readonly text?: string;
  readonly limit: number;
}

async function history(context: CommandContext, options: HistoryOptions): Promise<void> {
  const hub = await context.hub();
  const asked = await question(hub, options);
  let searchedUntilUs = Number.POSITIVE_INFINITY;
  const messages = await allRows(
    async (page) => {
      const found = await hub.delivery.listMessages({ ...asked, ...page });
      if (options.text !== undefined) searchedUntilUs = Math.min(searchedUntilUs, found.searchedUntilUs);
      return found;
    },
    (page) => page.messages,
    options.limit,
  );
  const searched = Number.isFinite(searchedUntilUs) ? new Date(searchedUntilUs / 1000).toISOString() : null;
  const document = { messages: messages.map(historyDocument), searched_until: searched };
  context.output.result(document, () => (messages.length === 0 ? 'no messages' : lines(messages)));
  if (searched !== null && Date.now() - searchedUntilUs / 1000 > BEHIND_MS)
    context.output.progress(`messages from ${searched} on are not all searchable yet`);
}

/** What is searchable is always a moment behind. */
const BEHIND_MS = 10_000;

async function question(hub: Hub, o: HistoryOptions): Promise<Partial<ListMessagesRequest>> {
  return {
    correlationId: o.thread ?? '',
    fromAgent: o.from === undefined ? '' : await agentId(hub, o.from),
    to: o.to ?? '',
    recipient: o.recipient === undefined ? '' : await agentId(hub, o.recipient),
    stage: o.stage === undefined ? Stage.UNSPECIFIED : STAGE_BY_NAME.get(o.stage)!,
    fromMs: o.since ?? 0,
    untilMs: o.until ?? 0,
    text: o.text ?? '',
  };
}

/** A name is that of who has it now. */
async function agentId(hub: Hub, given: string): Promise<string> {
  if (isId('agent', given)) return given;
  return (await hub.registry.lookupAgent({ name: checkAgent(given) })).agent!.id;
}

function lines(messages: readonly Message[]): string[] {
  return table(
    ['ACCEPTED', 'FROM', 'TO', 'STAGE', 'ID', 'TEXT'],
    messages.map((message) => [
      new Date(message.acceptedAtUs / 1000).toISOString().slice(0, 19).replace('T', ' '),
      visible(message.fromName),
      visible(message.to),
      stages(message),
      message.id,
      text(message),
    ]),
  );
}

/** Of one recipient its stage; of several how many are at each. */
function stages({ settlements, fanOut }: Message): string {
  if (settlements.length === 0) return 'accepted';
  if (settlements.length === 1 && fanOut <= 1) return stageName(settlements[0]!.stage);
  const counts = Map.groupBy(settlements, ({ stage }) => stageName(stage));
  return [...counts].map(([name, all]) => `${all.length} ${name}`).join(', ');
}

const TEXT_CHARS = 60;

function text({ body, bodyMissing, bodyBytes, contentType }: Message): string {
  if (bodyMissing !== '') return `(${bodyBytes} bytes, not kept)`;
  if (contentType !== '' && !/^text\/|json/.test(contentType))
    return `(${bodyBytes} bytes of ${visible(contentType)})`;
  const all = new TextDecoder().decode(body.subarray(0, TEXT_CHARS * 4)).replace(/\s+/g, ' ');
  return visible(all.length > TEXT_CHARS ? `${all.slice(0, TEXT_CHARS - 1)}…` : all);
}
