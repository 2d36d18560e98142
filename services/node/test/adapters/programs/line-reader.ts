// A program that reads lines in canonical mode, as most do, and says what it read. After `until gone FILE`
// it reads nothing while that file is there.

import { existsSync, readSync, writeSync } from 'node:fs';

const chunk = Buffer.alloc(65536);
let rest = '';
writeSync(1, 'ready\n');
for (;;) {
  const n = readSync(0, chunk);
  if (n === 0) break;
  rest += chunk.toString('utf8', 0, n);
  const lines = rest.split('\n');
  rest = lines.pop()!;
  for (const line of lines) {
    const busy = /until gone (\S+)/.exec(line);
    if (busy) {
      writeSync(1, 'busy\n');
      while (existsSync(busy[1]!)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    if (/quit (\d+)/.test(line)) process.exit(Number(/quit (\d+)/.exec(line)![1]));
    writeSync(1, `read ${Buffer.byteLength(line)} bytes\n`);
  }
}
