/** dead list | show | replay | drop: messages that could not be delivered, and what becomes of them. */

import { randomUUID } from 'node:crypto';
import type { LetterFilter, LetterOutcome } from '@fleetwire/gen/delivery';
import { LetterState } from '@fleetwire/gen/delivery';
import { FleetwireError } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { allRows } from '../all-pages.ts';
import { moment, oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { confirm } from '../confirmation.ts';
import {
  letterDocument,
  letterTable,
  outcomeDocument,
  wholeLetterDocument,
  wholeLetterLines,
} from '../letter-document.ts';
import { counted, FailedResult } from '../output.ts';

const STATES: Readonly<Record<string, LetterState>> = {
  open: LetterState.OPEN,
  replayed: LetterState.REPLAYED,
  dropped: LetterState.DROPPED,
  any: LetterState.UNSPECIFIED,
};

export function addDeadCommands(program: Command, action: Action): void {
  const dead = program.command('dead').description('messages that could not be delivered');
  filtered(dead.command('list').description('dead letters, newest first'))
    .option('--state <state>', Object.keys(STATES).join(', '), oneOf('--state', Object.keys(STATES)), 'open')
    .option('--limit <n>', 'so many at most', wholeNumber('--limit', 1, 100_000), 100)
    .action(action(list));
  dead
    .command('show')
    .description('one of them: the message, why it died, and what became of its replays')
    .argument('<letter>', 'its id: the column LETTER of `dead list`')
    .action(action(show));
  deciding(
    dead.command('replay').description('send them again, under their ids, to whom they were for'),
    action,
    'replay',
  );
  deciding(dead.command('drop').description('decide that they are not sent again'), action, 'drop');
}

const HELP = `
Give ids, or conditions, or --all. Only letters that are open are meant by conditions; the oldest go first.
Interrupted, the same command with --request and the id that it has shown goes on where it was.`;

function deciding(command: Command, action: Action, what: Act): void {
  filtered(command)
    .argument('[letters...]', 'their ids: the column LETTER of `dead list`; by that of a message: --message')
    .option('--all', 'all that are open')
    .option('--dry-run', 'only say how many there are')
    .option('--request <id>', 'go on with this request')
    .option('--yes', 'do not ask, however many there are')
    .addHelpText('after', HELP)
    .action(action((context, options: ActOptions, ids: string[]) => decide(context, what, options, ids)));
}

function filtered(command: Command): Command {
  return command
    .option('--reason <reason>', 'only those that died of this, such as UNKNOWN_AGENT')
    .option('--recipient <agent>', 'only those for this one: an id, or the address as written')
    .option('--sender <agent>', 'only those from this one: a name or an id')
    .option('--message <id>', 'only those of this message')
    .option('--from <time>', 'since then: a date, a time, or how long ago, like 2h or 7d', moment('--from'))
    .option('--until <time>', 'until then', moment('--until'));
}

interface FilterOptions {
  readonly reason?: string;
  readonly recipient?: string;
  readonly sender?: string;
  readonly message?: string;
  readonly from?: number;
  readonly until?: number;
}

type Act = 'replay' | 'drop';

interface ActOptions extends FilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly request?: string;
  readonly yes?: boolean;
}

function filterOf(options: FilterOptions, state: LetterState): LetterFilter {
  const { reason = '', recipient = '', sender = '', message: messageId = '', from = 0, until = 0 } = options;
  return { reason, recipient, sender, messageId, fromUs: from * 1000, untilUs: until * 1000, state };
}

async function list(
  context: CommandContext,
  options: FilterOptions & { state: string; limit: number },
): Promise<void> {
  const { delivery } = await context.hub();
  const filter = filterOf(options, STATES[options.state]!);
  const letters = await allRows(
    ({ pageSize, pageToken }) =>
      delivery.listDeadLetters({ filter, pageSize: Math.min(pageSize, 500), pageToken }),
    (page) => page.letters,
    options.limit,
  );
  context.output.result({ letters: letters.map(letterDocument) }, () =>
    letters.length === 0 ? 'no dead letters' : letterTable(letters),
  );
}

async function show(context: CommandContext, _options: object, id: string): Promise<void> {
  const { delivery } = await context.hub();
  const found = await delivery.getDeadLetter({ id });
  context.output.result(wholeLetterDocument(found), () => wholeLetterLines(found));
}

/** Letters in one call: progress is shown between calls. */
const AT_ONCE = 100;

async function decide(
  context: CommandContext,
  act: Act,
  options: ActOptions,
  ids: readonly string[],
): Promise<void> {
  const selection = selectionOf(options, ids);
  const { delivery } = await context.hub();
  const call = act === 'replay' ? delivery.replayDeadLetters : delivery.dropDeadLetters;
  const { request: given } = options;
  const requestId = given ?? randomUUID();
  const once = { ...selection, requestId, dryRun: false, limit: AT_ONCE, continuation: '' };
  const { matched } = await call({ ...once, dryRun: true });
  const meant = counted(matched, 'dead letter');
  if (options.dryRun === true) return context.output.result({ matched }, () => meant);
  if (ids.length === 0 && matched > 1) await confirm(context, options.yes, `${act} ${meant}`);
  if (matched > AT_ONCE) context.output.progress(`request ${requestId}: ${meant}`);
  const outcomes: LetterOutcome[] = [];
  do {
    const answer = await call(once);
    outcomes.push(...answer.letters);
    once.continuation = answer.continuation;
    if (matched > AT_ONCE) context.output.progress(`${outcomes.length} of ${matched}`);
  } while (once.continuation !== '');
  report(context, act, requestId, outcomes, ids.length > 0);
}

function selectionOf(options: ActOptions, ids: readonly string[]) {
  const filter = filterOf(options, LetterState.OPEN);
  const { state: _, ...conditions } = filter;
  const given = [
    ids.length > 0,
    options.all === true,
    Object.values(conditions).some((value) => value !== '' && value !== 0),
  ];
  if (given.filter(Boolean).length !== 1)
    throw new FleetwireError('invalid_argument', 'SELECTION_INVALID', 'say which dead letters are meant', {
      help: 'Give either ids, or conditions such as --reason, or --all. See: fleetwire dead list',
    });
  return ids.length > 0 ? { ids: [...new Set(ids)], filter: undefined } : { ids: [], filter };
}

/** That none was changed is an error, and for ids that are named, that one of them was not. */
function report(
  { output }: CommandContext,
  act: Act,
  requestId: string,
  outcomes: readonly LetterOutcome[],
  named: boolean,
): void {
  const done = outcomes.filter(({ reason }) => reason === '');
  const refused = outcomes.filter(({ reason }) => reason !== '');
  const document = {
    request_id: requestId,
    [act === 'replay' ? 'replayed' : 'dropped']: done.map(outcomeDocument),
    refused: refused.map(outcomeDocument),
  };
  const lines = [
    `${act === 'replay' ? 'replayed' : 'dropped'} ${counted(done.length, 'dead letter')}`,
    ...refused.map(({ id, reason, detail }) => `not ${id}: ${reason}, ${detail}`),
  ];
  const [first] = refused;
  if (first === undefined || (!named && done.length > 0)) {
    output.result(document, () => lines);
    return;
  }
  const kind = first.reason === 'LETTER_UNKNOWN' ? 'not_found' : 'failed_precondition';
  const said =
    refused.length === 1
      ? `${first.id}: ${first.detail}`
      : `${counted(refused.length, 'letter')} cannot be, the first: ${first.detail}`;
  throw new FailedResult(new FleetwireError(kind, first.reason, said), document, lines);
}
