// A program for the stdio adapter. By argument: `deaf` never reads, `silent` never acknowledges, `late` does so
// after a second, `flood` sends without end; otherwise it acknowledges each message and does what its body says.

import { createInterface } from 'node:readline';

const flags = new Set(process.argv.slice(2));
const write = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

process.stdout.write('a line for people\n');
process.stderr.write(`token ${process.env['FLEETWIRE_AGENT_TOKEN']}\n`);
if (flags.has('deaf')) setInterval(() => undefined, 1000);
else if (flags.has('flood')) flood(0);
else createInterface({ input: process.stdin }).on('line', onLine);

function flood(n: number): void {
  while (write({ type: 'send', to: 'carol', body: 'x'.repeat(1000), ref: n++ }));
  process.stdout.once('drain', () => flood(n));
}

function onLine(text: string): void {
  const line = JSON.parse(text);
  if (line.type !== 'message') return void write({ heard: line });
  const ack = () => write({ type: 'ack', id: line.id });
  if (flags.has('late')) setTimeout(ack, 1000);
  else if (!flags.has('silent')) ack();
  if (line.body === 'quit') process.exit(3);
  if (line.body === 'send') write({ type: 'send', to: line.from, body: 'hi', ref: 'r1', reply_to: line.id });
  if (line.body === 'bad send') write({ type: 'send', to: 7, ref: 'r2' });
  if (line.body === 'long') process.stdout.write(`${'y'.repeat(4 * 1024 * 1024)}\n`);
  write({ body: line.body ?? line.body_base64 });
}
