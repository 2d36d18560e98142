#!/usr/bin/env node
/** The command line's entry: runs one command and ends with its exit code. */

import { runProgram } from './program.ts';

// A reader that has gone, like `head`, or a closed terminal, is no reason to crash; there is nobody left to tell.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const code = await runProgram(process.argv.slice(2));
await Promise.all(
  [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
  ),
);
// Whatever a part has left running must not keep a command that is done.
process.exit(code);
