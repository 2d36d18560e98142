// A small interface with an input box in raw mode, as coding agents have. By argument: `cursor` shows the terminal's
// cursor in the box, `hidden` draws its own; `deaf` never takes Enter for a submission, `newline` takes it for a line
// break, `mute` swallows what is submitted without showing it, `stuck` never reads at all. `log=FILE` notes there when it
// has drawn what was submitted, in microseconds since the Unix epoch.

import { appendFileSync, writeSync } from 'node:fs';

const flags = new Set(process.argv.slice(2));
const log = process.argv.find((arg) => arg.startsWith('log='))?.slice(4);
let submitted = 0;
const transcript: string[] = ['welcome'];
let input = '';
let pasting = false;

function draw(): void {
  const rows = process.stdout.rows ?? 24;
  const columns = Math.min(process.stdout.columns ?? 80, 80);
  const rule = '─'.repeat(columns - 2);
  const lines = input.slice(-4000).split('\n').slice(-10);
  const box = lines.map((line, i) => `│ ${i === 0 ? '>' : ' '} ${line}`);
  const all = transcript.flatMap((t) => t.slice(-4000).split('\n')).slice(-(rows - box.length - 4));
  const screen = [...all, `╭${rule}╮`, ...box, `╰${rule}╯`, '  ? for shortcuts'];
  let out = `\x1b[?25l\x1b[H\x1b[2J${screen.join('\r\n')}`;
  const last = box.at(-1)!;
  if (!flags.has('hidden')) out += `\x1b[${all.length + 1 + box.length};${last.length + 1}H\x1b[?25h`;
  writeSync(1, out);
}

function take(text: string): void {
  for (let i = 0; i < text.length; i++) {
    if (text.startsWith('\x1b[200~', i)) {
      pasting = true;
      i += 5;
    } else if (text.startsWith('\x1b[201~', i)) {
      pasting = false;
      i += 5;
    } else if (text[i] === '\r' && !pasting) enter();
    else input += text[i] === '\r' ? '\n' : text[i];
  }
}

function enter(): void {
  if (flags.has('deaf')) return;
  if (flags.has('newline')) input += '\n';
  else {
    submitted++;
    if (!flags.has('mute')) transcript.push(`> ${input}`, `took ${input.length} characters`);
    input = '';
  }
}

process.stdin.setRawMode(true);
writeSync(1, '\x1b[?1049h\x1b[?2004h');
draw();
if (flags.has('stuck')) setInterval(() => undefined, 1000);
else
  process.stdin.on('data', (chunk) => {
    const before = submitted;
    take(chunk.toString('utf8'));
    draw();
    const nowUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
    if (log !== undefined && submitted > before) appendFileSync(log, `${nowUs}\n`);
  });
