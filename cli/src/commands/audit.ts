/** audit list | export: who did what in the org, when, from where, and what was refused. */

import type { AuditEntry, AuditFilter } from '@fleetwire/gen/org';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { allRows } from '../all-pages.ts';
import { moment, oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { unwritable, writeWhole } from '../files.ts';
import type { OrgClient } from '../hub.ts';
import { allMembers } from '../lookup.ts';
import { auditDocument } from '../org-documents.ts';
import { minute, table, visible } from '../output.ts';
import { ORG_OPTION } from './org.ts';

const DECISIONS = ['allowed', 'denied'];

export function addAuditCommands(program: Command, action: Action): void {
  const audit = program.command('audit').description('the audit of the org');
  filtered(audit.command('list').description('what was done and refused, newest first'))
    .option('--limit <n>', 'so many at most', wholeNumber('--limit', 1, 100_000), 100)
    .action(action(list));
  filtered(audit.command('export').description('all of it, oldest first, as JSON lines'))
    .option('--out <file>', 'into this file instead of standard output')
    .addHelpText('after', EXPORT_HELP)
    .action(action(exportAll));
}

const EXPORT_HELP = `
Standard output, or the file, gets JSON lines: a line for each entry, with --json too.
With --out, --json prints one document that says how many there are.`;

function filtered(command: Command): Command {
  return command
    .option('--actor <member>', 'only by this member, by e-mail address or id')
    .option('--action <prefix>', 'only actions that begin so, such as member or member.remove')
    .option('--target <id>', 'only on this')
    .option('--decision <decision>', DECISIONS.join(' or '), oneOf('--decision', DECISIONS))
    .option('--from <time>', 'since then: a date, a time, or how long ago, like 2h or 7d', moment('--from'))
    .option('--until <time>', 'until then', moment('--until'))
    .option(...ORG_OPTION);
}

interface FilterOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly decision?: string;
  readonly from?: number;
  readonly until?: number;
  readonly org?: string;
}

async function filterOf(door: OrgClient, options: FilterOptions, org: string): Promise<AuditFilter> {
  const { actor = '', action = '', target = '', decision = '', from = 0, until = 0 } = options;
  return {
    actor: actor.includes('@') ? await actorOf(door, actor, org) : actor,
    action,
    target,
    decision,
    fromMs: from,
    untilMs: until,
  };
}

/** Members stand in the audit by their id; who only tried to become one, by the address. */
async function actorOf(door: OrgClient, email: string, org: string): Promise<string> {
  const folded = email.normalize('NFC').toLowerCase();
  const members = await allMembers(door, { org, emailContains: folded });
  return members.find((m) => m.email.normalize('NFC').toLowerCase() === folded)?.user ?? folded;
}

async function list(context: CommandContext, options: FilterOptions & { limit: number }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const filter = await filterOf(door, options, org);
  const entries = await allRows(
    (page) => door.listAudit({ org, filter, ...page }),
    (page) => page.entries,
    options.limit,
  );
  context.output.result({ entries: entries.map(auditDocument) }, () =>
    entries.length === 0 ? 'no entries' : entryTable(entries),
  );
}

const entryTable = (entries: readonly AuditEntry[]) =>
  table(
    ['AT', 'BY', 'ACTION', 'TARGET', 'DECISION', 'FROM'],
    entries.map((e) => [
      minute(e.atMs),
      e.actor || e.actorKind,
      e.action,
      e.target,
      e.reason === '' ? e.decision : `${e.decision} (${e.reason})`,
      e.peer,
    ]),
  );

async function exportAll(context: CommandContext, options: FilterOptions & { out?: string }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const filter = await filterOf(door, options, org);
  const batches = door.exportAudit({ org, filter });
  const { out } = options;
  if (out === undefined) return toReader(batches);
  const entries = await writeWhole(out, (append) => writeLines(batches, append));
  context.output.result({ file: out, entries }, () => `${entries} entries are in ${visible(out)}`);
}

type Batches = AsyncIterable<{ readonly entries: readonly AuditEntry[] }>;

/** One batch in memory at a time; gives the number of entries. */
export async function writeLines(batches: Batches, write: (text: string) => Promise<void>): Promise<number> {
  let count = 0;
  for await (const { entries } of batches) {
    await write(entries.map((entry) => `${JSON.stringify(auditDocument(entry))}\n`).join(''));
    count += entries.length;
  }
  return count;
}

/** A reader that has seen enough, like `head`, ends it. */
async function toReader(batches: Batches): Promise<void> {
  try {
    await writeLines(batches, writeOut);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw unwritable('standard output', error);
  }
}

/** Resolves when the reader has room again. */
function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
