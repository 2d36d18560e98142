// A program that notes what it takes up: taker.ts <mode> <record> <hold>. `lines` reads as most programs do; `raw` edits its line
// itself and asks for bracketed paste, `plain` does not; `json` speaks the lines of the stdio adapter. Of those that edit:
// `deaf` has no Enter, `mute` shows nothing, `folds` shows what it took in rows of its own. While the file <hold> is there it
// reads nothing, and says so by <hold>.on.

import { appendFileSync, existsSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

const [mode, record, hold] = process.argv.slice(2) as [string, string, string];
const decoder = new StringDecoder('utf8');
const note = (value: unknown) => appendFileSync(record, `${JSON.stringify(value)}\n`);
let input = '';
let pasting = false;

function waitWhileHeld(): void {
  if (!existsSync(hold)) return;
  writeFileSync(`${hold}.on`, '');
  while (existsSync(hold)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  rmSync(`${hold}.on`);
}

function submit(): void {
  if (mode === 'deaf') return;
  note(input);
  const rows = mode === 'folds' ? `${input.match(/.{1,13}/gs)?.join('\r\n')}\r\n` : '';
  show(`${mode === 'lines' ? '' : '\r\n'}${rows}took ${input.length} characters\r\n> `);
  input = '';
}

function show(text: string): void {
  if (mode !== 'mute') writeSync(1, text);
}

function take(text: string): void {
  for (let i = 0; i < text.length; i++) {
    if (text.startsWith('\x1b[200~', i) || text.startsWith('\x1b[201~', i)) {
      pasting = text[i + 4] === '0';
      i += 5;
    } else if (text[i] === (mode === 'lines' ? '\n' : '\r') && !pasting) submit();
    else {
      input += text[i];
      if (mode !== 'lines' && mode !== 'folds') show(text[i] === '\n' ? '\r\n  ' : text[i]!);
    }
  }
}

function takeJson(text: string): void {
  const lines = (input + text).split('\n');
  input = lines.pop()!;
  for (const line of lines) {
    const { type, id, body, body_base64 } = JSON.parse(line);
    if (type !== 'message') continue;
    note(body ?? { base64: body_base64 });
    writeSync(1, `${JSON.stringify({ type: 'ack', id })}\n`);
  }
}

if (mode !== 'lines' && mode !== 'json') process.stdin.setRawMode(true);
if (mode === 'raw') writeSync(1, '\x1b[?2004h');
if (mode !== 'json') writeSync(1, '> ');
process.stdin.on('data', (chunk: Buffer) => (mode === 'json' ? takeJson : take)(decoder.write(chunk)));
setInterval(waitWhileHeld, 5);
note('ready');
