/** `npm run chaos`: runs of chaos in a row, each on a fabric of its own, a line for each; ends red at the first failure. */

import { parseArgs } from 'node:util';
import { MUTATIONS, preloadOf } from './mutations.ts';
import { lineOf } from './outcome.ts';
import { summary } from './reconcile.ts';
import { type Also, chaosRun } from './run.ts';

const HELP = `usage: npm run -s chaos -- [options]

  --seeds <n>         runs, one after the other (1)
  --from <seed>       the first seed; the others follow it (one at random)
  --messages <n>      messages to be accepted in each run (200000)
  --rate <n>          messages in a second, at most (1500)
  --also <names>      hit now and then as well: nats, nodes, or both with a comma (none)
  --mutate <name>     a rule switched off: ${MUTATIONS.map(({ name }) => name).join(', ')};
                      then a run that finds something is what is wanted, and ends the row
  --quiet             no progress, no schedule`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    from: { type: 'string' },
    messages: { type: 'string', default: '200000' },
    rate: { type: 'string', default: '1500' },
    also: { type: 'string', default: '' },
    mutate: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function refuse(text: string): never {
  console.error(`${text}\n\n${HELP}`);
  process.exit(64);
}

function wholeNumber(name: 'seeds' | 'from' | 'messages' | 'rate', least: number): number {
  const value = Number(values[name] ?? Math.floor(Math.random() * 2 ** 31));
  return Number.isInteger(value) && value >= least ? value : refuse(`--${name} takes a whole number`);
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const mutation = MUTATIONS.find(({ name }) => name === values.mutate);
if (values.mutate !== undefined && mutation === undefined) refuse(`no such mutation: ${values.mutate}`);
const first = wholeNumber('from', 0);
const seeds = wholeNumber('seeds', 1);
const also = values.also.split(',').filter((name) => name !== '') as Also[];
if (also.some((name) => name !== 'nats' && name !== 'nodes')) refuse('--also takes nats and nodes');
const options = {
  messages: wholeNumber('messages', 1),
  rate: wholeNumber('rate', 1),
  preload: mutation === undefined ? {} : preloadOf(mutation),
  also,
  expectFindings: mutation !== undefined,
  report: values.quiet ? () => undefined : (line: string) => console.error(line),
};
const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort());
let found = false;
for (let seed = first; seed < first + seeds && !found; seed++) {
  const outcome = await chaosRun({ seed, ...options, signal: ending.signal });
  console.log(lineOf(seed, outcome));
  found = outcome.findings.length > 0;
  if (found) console.log(summary(outcome.findings));
}
if (mutation !== undefined) console.log(found ? `${mutation.name}: found` : `${mutation.name}: NOT found`);
process.exitCode = found === (mutation !== undefined) ? 0 : 1;
